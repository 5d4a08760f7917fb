r"""Several names in one word, as options of the command line have them: `a,b`. A comma in a name is written `\,`."""

import re
from collections.abc import Iterable

_COMMA = re.compile(r"(?<!\\),")


def split(text: str) -> list[str]:
    r"""`"a, b\, c,"` → `["a", "b, c"]`."""
    return [word.replace("\\,", ",") for part in _COMMA.split(text) if (word := part.strip())]


def join(names: Iterable[str]) -> str:
    """What `split` reads."""
    return ",".join(name.replace(",", "\\,") for name in names)
