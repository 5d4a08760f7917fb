"""The Dockerfile, read rather than built: no container engine is assumed where tests run."""

import json
import shlex
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def instructions() -> list[tuple[str, str]]:
    """(INSTRUCTION, rest) with continued lines joined and comments gone."""
    lines = [line for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines() if line.strip()]
    joined = "\n".join(line for line in lines if not line.lstrip().startswith("#")).replace("\\\n", " ")
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def values(instruction: str) -> list[str]:
    return [rest for word, rest in instructions() if word == instruction]


def test_only_known_instructions_and_forms() -> None:
    known = {"FROM", "ENV", "RUN", "WORKDIR", "COPY", "VOLUME", "USER", "EXPOSE", "HEALTHCHECK", "CMD"}
    assert {word for word, _ in instructions()} == known
    assert instructions()[0][0] == "FROM"
    for command in [*values("CMD"), values("HEALTHCHECK")[0].partition("CMD ")[2]]:
        words = json.loads(command)  # exec form: no shell between the signal and the server
        assert words[0] == "python"
    compile(json.loads(values("HEALTHCHECK")[0].partition("CMD ")[2])[2], "healthcheck", "exec")


def test_not_root_and_listening_inside_only() -> None:
    words = [word for word, _ in instructions()]
    assert values("USER") == ["lorascope"]
    assert words.index("USER") > max(i for i, word in enumerate(words) if word in {"RUN", "COPY"})
    assert "--server.address=0.0.0.0" in json.loads(values("CMD")[0])
    assert 'address = "localhost"' in (ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8")
    assert values("EXPOSE") == ["8501"]


def test_what_is_written_goes_to_the_volume() -> None:
    environment = dict(pair.split("=", 1) for pair in shlex.split(" ".join(values("ENV"))))
    assert values("VOLUME") == ["/data"]
    for name in ("LORASCOPE_CACHE_DIR", "HF_HOME"):
        assert environment[name].startswith("/data/")


def test_the_image_gets_what_it_runs_and_no_secrets() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] not in "#"]

    def ignored(path: str) -> bool:
        tops = [str(parent) for parent in Path(path).parents if str(parent) != "."]
        return any(fnmatch(each, rule.removeprefix("**/")) for rule in rules for each in [path, *tops])

    for needed in ("app.py", "core", "pages", "demo", "models.toml", "requirements.txt", ".streamlit/config.toml"):
        assert (ROOT / needed).exists()
        assert not ignored(needed), needed
    for kept_out in (
        ".env",
        ".env.local",
        ".git/config",
        ".venv/bin/python",
        "cache/index.sqlite",
        "tests/conftest.py",
    ):
        assert ignored(kept_out), kept_out
