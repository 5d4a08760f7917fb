"""Data flows one way, and the web's half never loads torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "peft", "nnsight")
# The engine's half: what only the worker process imports, and what makes the demo.
ENGINE_HALF = (
    "core/capture/",
    "core/demo/",
    "core/encoder.py",
    "core/engine/keeping.py",
    "core/engine/runner.py",
    "core/engine/sets.py",
    "core/models/draws.py",
    "core/models/head.py",
    "core/models/loading.py",
    "core/models/reading.py",
    "core/training/",
)
WEB = ("streamlit", "core.ui")
DRAWING = ("plotly", "core.figures", *WEB)
# All of the engine but core.engine.interface, which says what may be asked of it.
ENGINE = tuple(
    f"core.engine.{part}"
    for part in ("backend", "build", "device", "keeping", "local", "process", "queue", "runner", "sets", "worker")
)
# Folder: what nothing in it may import, however deep in a function.
FORBIDDEN = {
    "core/audio": (*DRAWING, "core.studies", "core.analyses", "core.engine", "core.cli", *HEAVY),
    "core/corpora": (*DRAWING, "core.studies", "core.analyses", "core.engine", "core.cli", *HEAVY),
    "core/models": (*DRAWING, "core.studies", "core.analyses", "core.engine", "core.cli"),
    "core/capture": (*DRAWING, "core.studies", "core.analyses", "core.engine", "core.cli"),
    "core/engine": (*DRAWING, "core.studies", "core.analyses", "core.cli"),
    "core/store": (*DRAWING, "core.studies", "core.analyses", "core.engine", "core.cli", *HEAVY),
    "core/analyses": (*DRAWING, *ENGINE, "core.studies", "core.cli", *HEAVY),
    "core/studies": (*DRAWING, "core.cli", *HEAVY),
    "core/figures": (*WEB, "core.studies", "core.store", "core.engine", "core.cli", *HEAVY),
    "core/report": (*WEB, "core.studies", "core.store", "core.engine", "core.cli", *HEAVY),
    "core/cli": WEB,
    "core/ui": HEAVY,
    "pages": HEAVY,
}


def sources(start: str) -> list[Path]:
    return sorted((ROOT / start).rglob("*.py"))


def imports(file: Path) -> set[str]:
    """Full names of everything a file imports, functions included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_layers_import_one_way(folder: str) -> None:
    for file in sources(folder):
        if str(file.relative_to(ROOT)).startswith(ENGINE_HALF) and set(HEAVY) & set(FORBIDDEN[folder]):
            continue
        for name in imports(file):
            for other in FORBIDDEN[folder]:
                assert name != other and not name.startswith(f"{other}."), f"{file.relative_to(ROOT)} imports {name}"


def test_only_pages_and_their_parts_import_streamlit() -> None:
    users = {str(file.relative_to(ROOT)) for file in sources("core") if "streamlit" in imports(file)}
    assert all(user.startswith("core/ui/") for user in users), users


def test_the_webs_half_loads_without_torch() -> None:
    """All of it, imported for real in a process of its own; as are the imports that pages make inside functions."""
    modules = [
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for file in sources("core")
        if not str(file.relative_to(ROOT)).startswith(ENGINE_HALF) and file.name != "__main__.py"
    ]
    assert "core.engine.worker" in modules
    for page in [ROOT / "app.py", *sources("pages")]:
        modules += [name for name in imports(page) if name.startswith("core.") and name in modules]
    program = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name)\n"
        f"    loaded = sorted(set(sys.modules) & set({HEAVY!r}))\n"
        "    assert not loaded, f'{name} loads {loaded}'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *modules], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
