"""What is imported is pinned, and what is pinned is imported."""

import ast
import re
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Used without an import: as commands, as pytest's plugins, or by what we import.
AS_COMMANDS = {"ruff", "mypy", "pytest-xdist", "setuptools"}
# Used by LoRAscope where a user has it, refused with a sentence where not; pinned for the tests.
OPTIONAL = {"datasets"}
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.]*)(\s+#.*)?$")


def pins(name: str) -> dict[str, str]:
    """Distribution and version of every line of one requirements file, not following `-r`."""
    found = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith(("#", "-r ")):
            continue
        match = PIN.match(line)
        assert match, f"{name}: {line!r} is not pinned with =="
        found[normal(match[1])] = match[2]
    return found


def normal(distribution: str) -> str:
    """Spelled as package indexes compare names."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


@cache
def _distributions() -> dict[str, list[str]]:
    return {module: [normal(name) for name in names] for module, names in packages_distributions().items()}


def imported(*where: str) -> dict[str, set[str]]:
    """Third-party distributions imported below the given paths, each with the files that do."""
    found: dict[str, set[str]] = {}
    for start in where:
        path = ROOT / start
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for module in _modules(file) - {"core", "tests", "benchmarks"} - sys.stdlib_module_names:
                names = _distributions().get(module)
                assert names, f"{file.relative_to(ROOT)} imports {module}, which nothing installed provides"
                for name in names:
                    found.setdefault(name, set()).add(str(file.relative_to(ROOT)))
    return found


def _modules(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


RUN, DEMO, DEV = pins("requirements.txt"), pins("requirements-demo.txt"), pins("requirements-dev.txt")


@pytest.mark.parametrize(
    ("where", "allowed"),
    [
        (("app.py", "pages", "core"), {*RUN, *DEMO, *OPTIONAL}),
        (("benchmarks", "tests"), {*RUN, *DEMO, *DEV}),  # `make bench` installs what `make test` does
    ],
)
def test_what_is_imported_is_pinned(where: tuple[str, ...], allowed: set[str]) -> None:
    missing = {name: files for name, files in imported(*where).items() if name not in allowed}
    assert not missing, f"imported but not pinned: {missing}"


def test_what_is_optional_is_pinned_for_the_tests_only() -> None:
    assert DEV.keys() >= OPTIONAL and not OPTIONAL & {*RUN, *DEMO}


def test_only_the_demo_builder_needs_the_demos_requirements() -> None:
    extra = set(DEMO) - set(RUN)
    users = {file for name, files in imported("app.py", "pages", "core").items() if name in extra for file in files}
    assert all(file.startswith("core/demo/") for file in users), users


def test_what_is_pinned_is_imported() -> None:
    idle = {**RUN, **DEMO, **DEV}.keys() - set(imported("app.py", "pages", "core", "tests")) - AS_COMMANDS
    assert not idle, f"pinned but not imported: {idle}"


def test_files_agree_on_versions() -> None:
    for name in RUN.keys() & DEMO.keys():
        assert RUN[name] == DEMO[name]
