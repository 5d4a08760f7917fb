"""The registry file: what is well-formed, and what is said of what is not."""

import tomllib
from pathlib import Path

import pytest

from core.errors import Refusal
from core.models.describe import default_reference, describe_registry
from core.models.info import Role
from core.models.registry import Entry, Refused, as_toml, read_registry
from core.store.index import Index
from tests.checkpoints import LABELS

GOOD = '[[model]]\nname = "Good"\nbase = "base"\n'


def read(tmp_path: Path, text: str) -> tuple[list[Entry], list[Refused]]:
    file = tmp_path / "mine.toml"
    file.write_text(text, encoding="utf-8")
    return read_registry(file)


def test_every_setting_is_read(tmp_path: Path) -> None:
    entries, refused = read(
        tmp_path,
        """
        [[model]]
        name = "LoRA r=32, α"
        base = "openai/whisper-large-v2"
        revision = "abc"
        adapter = "runs/r32"
        head = "runs/head"
        group = "fold 1"
        role = "lora"
        labels = ["anger", "sadness"]
        synthetic = true
        """,
    )
    assert not refused
    assert entries == [
        Entry(
            name="LoRA r=32, α",
            base="openai/whisper-large-v2",
            directory=tmp_path.resolve(),
            revision="abc",
            adapter="runs/r32",
            head="runs/head",
            group="fold 1",
            role=Role.LORA,
            labels=("anger", "sadness"),
            synthetic=True,
        )
    ]


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('name = "Bad"', "`base` is missing"),
        ('base = "base"', "`name` is missing"),
        ('name = "  "\nbase = "base"', "`name` is missing"),
        ('name = "Bad"\nbase = ""', "`base` is missing"),
        ('name = "Bad"\nbase = "base"\nadaptor = "x"', "`adaptor` is not a setting of a model; known are name, base"),
        ('name = "Bad"\nbase = 3', "`base` is 3, which is not a str"),
        ('name = "Bad"\nbase = "base"\nlabels = "anger"', '`labels` is "anger", which is not a list'),
        ('name = "Bad"\nbase = "base"\nlabels = ["a", "a"]', "`labels` must be different"),
        ('name = "Bad"\nbase = "base"\nlabels = ["a", ""]', "`labels` must be different, non-empty"),
        ('name = "Bad"\nbase = "base"\nlabels = ["a", 3]', "`labels` must be different"),
        ('name = "Bad"\nbase = "base"\nlabels = [["a"]]', "`labels` must be different"),
        ('name = "Bad"\nbase = "base"\nrole = "loar"', "`role` is 'loar'; it can be frozen, lora, untrained, full"),
        ('name = "Bad"\nbase = "base"\nsynthetic = "yes"', '`synthetic` is "yes", which is not a bool'),
        ('name = "Bad"\nbase = 1979-05-27', "`base` is"),
        ('name = "Good"\nbase = "base"', "same name"),
    ],
)
def test_a_malformed_model_is_refused_and_the_others_stay(tmp_path: Path, table: str, sentence: str) -> None:
    last = '[[model]]\nname = "Last"\nbase = "base"\n'
    entries, refused = read(tmp_path, f"{GOOD}[[model]]\n{table}\n{last}")
    assert [entry.name for entry in entries] == ["Good", "Last"]
    (one,) = refused
    assert sentence in one.reason
    assert "mine.toml" in one.reason
    assert "\n" not in one.reason


def test_a_model_without_a_name_is_called_by_its_number(tmp_path: Path) -> None:
    _, refused = read(tmp_path, f'{GOOD}[[model]]\nbase = "x"\n')
    assert refused[0].name == "model 2"


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "model = []", '[model]\nname = "x"\nbase = "y"', "[[models]]"])
def test_a_registry_without_models_says_how_to_add_one(tmp_path: Path, text: str) -> None:
    with pytest.raises(Refusal, match=r"mine.toml lists no models: add a \[\[model\]\] table with .*`name` and `base`"):
        read(tmp_path, text)


def test_models_that_are_no_tables_are_refused_one_by_one(tmp_path: Path) -> None:
    entries, refused = read(tmp_path, 'model = [1, "x", {name = "Good", base = "base"}]')
    assert [entry.name for entry in entries] == ["Good"]
    assert [one.name for one in refused] == ["model 1", "model 2"]
    assert all("mine.toml" in one.reason for one in refused)


@pytest.mark.parametrize("text", ["[[model]\n", 'name = "x\n"', "a = 1\na = 2\n"])
def test_a_registry_that_is_no_toml_is_refused_with_the_place(tmp_path: Path, text: str) -> None:
    with pytest.raises(Refusal, match=r"mine.toml is not valid TOML: .*line"):
        read(tmp_path, text)


def test_a_registry_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refusal, match=r"mine.toml can't be read"):
        read_registry(tmp_path / "mine.toml")


def test_a_registry_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"There is no registry file .*gone.toml: give one with --registry"):
        read_registry(tmp_path / "gone.toml")


def test_a_directory_is_no_registry(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="can't be read"):
        read_registry(tmp_path)


def test_the_shelf_is_described_in_file_order(registry: Path, tmp_path: Path) -> None:
    models = describe_registry(registry, Index(tmp_path / "index.sqlite"))
    assert not models.refused
    assert [(m.name, m.role, m.rank, m.group) for m in models.models] == [
        ("Frozen", "frozen", None, "tiny"),
        ("LoRA", "lora", 5, "tiny"),
        ("Wide", "lora", 3, "tiny"),
        ("Full", "full", None, "other"),
    ]
    assert all(m.labels == LABELS for m in models.models)
    assert len({m.base_fingerprint for m in models.models[:3]}) == 1
    assert len({m.fingerprint for m in models.models}) == 4


def test_an_unknown_model_is_refused_with_the_names_there_are(registry: Path, tmp_path: Path) -> None:
    models = describe_registry(registry, Index(tmp_path / "index.sqlite"))
    assert models.named("Wide").name == "Wide"
    with pytest.raises(Refusal, match="no model 'lora' in the registry; there are 'Frozen', 'LoRA', 'Wide', 'Full'"):
        models.named("lora")


def test_a_refused_model_gives_its_reason_when_it_is_asked_for(shelf: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'[[model]]\nname = "Gone"\nbase = "gone"\n[[model]]\nname = "Full"\nbase = "{shelf / "full"}"\n')
    models = describe_registry(file, Index(tmp_path / "index.sqlite"))
    assert [m.name for m in models.models] == ["Full"]
    with pytest.raises(Refusal, match=f"^Gone: {tmp_path}/gone does not exist: check the path"):
        models.named("Gone")


def test_the_reference_is_the_frozen_model_of_the_first_ones_group(registry: Path, tmp_path: Path) -> None:
    frozen, lora, wide, full = describe_registry(registry, Index(tmp_path / "index.sqlite")).models
    assert default_reference([lora, wide, frozen]) == "Frozen"
    assert default_reference([full, frozen, lora]) == "Full"
    assert default_reference([wide, lora]) == "Wide"
    assert default_reference([frozen, lora], "LoRA") == "LoRA"
    with pytest.raises(Refusal, match="'Full' is not among the chosen models"):
        default_reference([frozen, lora], "Full")


def test_tables_are_written_as_they_are_read() -> None:
    """Quotes, backslashes and whatever people call their models come back."""
    tables = [{"name": 'a "q" é\\ 😀', "labels": ["x", "y"], "synthetic": True}, {"name": "b", "base": "/p"}]
    assert tomllib.loads(as_toml(tables)) == {"model": tables}
