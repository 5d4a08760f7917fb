"""A pytest plugin (`pytest -p tests.ground.typechecker`): checks types and shapes of calls into core."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
from beartype import BeartypeConf, FrozenDict, beartype
from beartype.roar import BeartypeDecorHintPep3119Exception
from numpy.typing import NDArray

CORE = Path(__file__).resolve().parents[2] / "core"
# What figures take is refused by themselves, in words for people; their tests see to that, and must get that far.
UNCHECKED = {"figures"}

# An int will do for a float, as type checkers have it. NumPy's strings have a width of their own, so that no array of
# them equals the bare dtype.
_strict = beartype(conf=BeartypeConf(is_pep484_tower=True, hint_overrides=FrozenDict({NDArray[np.str_]: np.ndarray})))


def pytest_load_initial_conftests() -> None:
    """Before any test imports core."""
    parts = {path.stem for path in CORE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    checked = [f"core.{part}" for part in sorted(parts - UNCHECKED) if not part.startswith("__")]
    jaxtyping.install_import_hook(checked, "tests.ground.typechecker.check")


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, checked; as it is where a hint is a protocol, which mypy checks and a running program can't."""
    try:
        return _strict(function)
    except BeartypeDecorHintPep3119Exception:
        return function
