"""What the tests of models share."""

from pathlib import Path

import pytest

from core.models.describe import describe
from core.models.info import ModelInfo, Role
from core.models.registry import Entry
from core.store.index import Index
from tests.conftest import LABELS
from tests.models.workshop import Describe


@pytest.fixture
def look(shelf: Path, tmp_path: Path) -> Describe:
    """Describe an entry whose paths are relative to the shelf; over its base unless told otherwise."""
    index = Index(tmp_path / "index.sqlite")

    def describe_entry(base: object = "base", labels: tuple[str, ...] = LABELS, **more: object) -> ModelInfo:
        plain = {name: str(value) for name, value in more.items() if name != "role"}
        role = Role(more["role"]) if "role" in more else None
        return describe(Entry("It", str(base), shelf, labels=labels, role=role, **plain), index)

    return describe_entry
