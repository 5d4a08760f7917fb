from collections.abc import Iterator

import pytest

from core.audio.decoder import Decoder
from core.settings import read_settings


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    made = Decoder(read_settings())
    yield made
    made.close()
