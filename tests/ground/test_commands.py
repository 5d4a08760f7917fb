"""The two commands, as far as `make -n` and a fake Python show; and the files that go with them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from core import paths
from core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def make(*words: str, where: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    # The outer make's own variables (it may be running us) must not reach the inner one.
    inherited = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}}
    return subprocess.run(
        ["make", *words], cwd=where, env={**inherited, **environment}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A place whose name holds a space, with the Makefile, and a `.venv` whose Python says what it was asked to run."""
    place = tmp_path / "my lorascope"
    binaries = place / ".venv" / "bin"
    binaries.mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", place)
    python = binaries / "python"
    python.write_text(
        "#!/bin/sh\n"
        'case "$*" in *version_info*) echo True; exit 0;; esac\n'
        'echo "python $*"; echo "registry=$LORASCOPE_REGISTRY"\n'
    )
    python.chmod(0o755)
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-demo.txt"):
        (place / name).touch()
    return place


def test_run_as_one_would_guess(installed: Path) -> None:
    (installed / "my models.toml").touch()
    first = make("run", "PORT=9000", "REGISTRY=my models.toml", where=installed)
    assert first.returncode == 0, first.stderr
    assert "pip --disable-pip-version-check install -r requirements.txt" in first.stdout
    assert "streamlit run app.py --server.address=localhost --server.port=9000" in first.stdout
    assert f"registry={installed}/my models.toml" in first.stdout


def test_the_default_is_localhost_8501_whatever_the_environment_holds(installed: Path) -> None:
    done = make("run", where=installed, HOST="0.0.0.0", PORT="80", REGISTRY="elsewhere.toml", LORASCOPE_REGISTRY="")
    assert "--server.address=localhost --server.port=8501" in done.stdout
    assert done.stdout.endswith("registry=\n")


def test_a_second_run_installs_only_what_changed(installed: Path) -> None:
    make("run", where=installed)
    assert "install" not in make("run", where=installed).stdout
    os.utime(installed / "requirements.txt", (4e9, 4e9))
    assert "install -r requirements.txt" in make("run", where=installed).stdout


def test_a_venv_that_lost_its_python_is_made_again(installed: Path) -> None:
    make("run", where=installed)
    (installed / ".venv" / "bin" / "python").unlink()
    (installed / ".venv" / "bin" / "python").symlink_to("/nowhere/python3")
    planned = make("-n", "run", where=installed).stdout
    assert "venv --clear .venv" in planned
    assert "install -r requirements.txt" in planned


def test_a_registry_that_is_not_there_is_named(installed: Path) -> None:
    done = make("run", "REGISTRY=nowhere.toml", where=installed)
    assert done.returncode != 0
    assert f"There is no registry file {installed}/nowhere.toml" in done.stderr
    assert "streamlit" not in done.stdout


def test_home_in_a_registry_path(installed: Path) -> None:
    home = installed.parent
    (home / "m.toml").touch()
    done = make("run", "REGISTRY=~/m.toml", where=installed, HOME=str(home))
    assert f"registry={home}/m.toml" in done.stdout


def test_an_old_python_is_refused_in_one_sentence(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").touch()
    old = tmp_path / "bin"
    old.mkdir()
    for name in ("python3", "python3.14", "python3.13", "python3.12", "python3.11"):
        (old / name).write_text("#!/bin/sh\nexit 1\n")
        (old / name).chmod(0o755)
    done = make("run", where=tmp_path, PATH=f"{old}:{os.environ['PATH']}")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer" in done.stderr


def test_the_makefile_keeps_to_what_macos_make_knows() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    # Newer than GNU make 3.81, or bash's own.
    for word in (".ONESHELL", "$(file ", "!=", "[[", "&>", ".SHELLFLAGS", "$(let ", "$(guile "):
        assert word not in text, word


def test_example_settings_are_all_settings_with_their_defaults() -> None:
    written = dict(re.findall(r"^# (LORASCOPE_\w+)=(.*)$", (ROOT / ".env.example").read_text(encoding="utf-8"), re.M))
    expected = {}
    for name, field in Settings.model_fields.items():
        default = field.default.relative_to(paths.ROOT) if isinstance(field.default, Path) else field.default
        expected[f"LORASCOPE_{name.upper()}"] = str(default)
    assert written == expected


def test_ci_installs_what_tests_need() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    text = script.read_text(encoding="utf-8")
    for package in ("chromium", "alsa-utils", "espeak-ng", "fonts-"):
        assert package in text
    assert text.rstrip().endswith("make test")
