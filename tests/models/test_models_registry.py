"""The registry file: what is well-formed, what is said of what is not, and how it is changed."""

import tomllib
from pathlib import Path

import pytest

from core.errors import Refusal
from core.models.describe import default_reference, describe_registry
from core.models.edit import add_entry, remove_entry, undo
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


# Changes to the file: it is the user's

MINE = """# my models

# the one I trust
[[model]]
name = "a"   # short
base = 'x'

# about b,
# in two lines
[[model]]
name = "b"
base = "x"
labels = [
  "anger",  # first
  "sadness",
]

# about c
[[model]]
base = "y"
name = "c"
# the end
"""


def mine(tmp_path: Path, text: str = MINE) -> Path:
    file = tmp_path / "mine.toml"
    file.write_bytes(text.encode())
    return file


def test_adding_keeps_every_byte_that_was_there(tmp_path: Path) -> None:
    file = mine(tmp_path)
    add_entry(file, {"name": 'new "é"', "base": "z", "adapter": "runs/r8", "labels": ["anger", "sadness"]})
    text = file.read_text()
    assert text.startswith(MINE)
    entries, refused = read_registry(file)
    assert not refused
    assert [entry.name for entry in entries] == ["a", "b", "c", 'new "é"']
    assert (entries[3].base, entries[3].adapter, entries[3].labels) == ("z", "runs/r8", ("anger", "sadness"))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"], "no temporary file is left"


def test_adding_keeps_line_ends_and_completes_the_last_line(tmp_path: Path) -> None:
    file = mine(tmp_path, MINE.rstrip("\n").replace("\n", "\r\n"))
    add_entry(file, {"name": "new", "base": "z"})
    data = file.read_bytes()
    assert data.endswith(b'# the end\r\n\r\n[[model]]\r\nname = "new"\r\nbase = "z"\r\n')
    assert data.count(b"\n") == data.count(b"\r\n")


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"name": "b", "base": "z"}, "There is a model 'b' in mine.toml already: give another name"),
        ({"name": " b ", "base": "z"}, "already"),
        ({"name": "new"}, "`base` is missing"),
        ({"name": "new", "base": "z", "adaptor": "x"}, "`adaptor` is not a setting"),
    ],
)
def test_what_is_not_well_formed_is_not_written(tmp_path: Path, table: dict[str, str], sentence: str) -> None:
    file = mine(tmp_path)
    with pytest.raises(Refusal, match=sentence):
        add_entry(file, table)
    assert file.read_text() == MINE


@pytest.mark.parametrize(
    ("name", "gone", "stays"),
    [
        ("a", ["the one I trust", "# short"], ["# my models", "# about b,\n# in two lines\n[[model]]", "# about c"]),
        ("b", ["about b", "in two lines", "first"], ["# the one I trust\n[[model]]", "# about c\n[[model]]"]),
        ("c", ["about c", 'base = "y"'], ["# the one I trust\n[[model]]", "# about b,", "# first"]),
    ],
)
def test_removing_takes_an_entry_with_its_own_comment_only(
    tmp_path: Path, name: str, gone: list[str], stays: list[str]
) -> None:
    file = mine(tmp_path)
    done = remove_entry(file, name)
    text = file.read_text()
    assert [entry.name for entry in read_registry(file)[0]] == [other for other in "abc" if other != name]
    assert not [words for words in gone if words in text]
    assert all(words in text for words in stays)
    undo(done)
    assert file.read_text() == MINE


def test_the_comment_that_opens_the_file_stays(tmp_path: Path) -> None:
    file = mine(tmp_path, '# about all of it\n[[model]]\nname = "a"\nbase = "x"\n[[model]]\nname = "b"\nbase = "x"\n')
    remove_entry(file, "a")
    assert file.read_text() == '# about all of it\n[[model]]\nname = "b"\nbase = "x"\n'


def test_what_can_not_be_removed_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    """An inline list, a header inside a string, the only model, one that is not there."""
    cases = [
        ('model = [{name = "a", base = "x"}, {name = "b", base = "x"}]\n', "can't be changed safely here"),
        ('[[model]]\nname = "a"\nbase = """\n[[model]]\n"""\n[[model]]\nname = "b"\nbase = "x"\n', "edit it by hand"),
        ('[[model]]\nname = "a"\nbase = "x"\n', "a is the only model in mine.toml: add another one first"),
        ('[[model]]\nname = "b"\nbase = "x"\n', "no model 'a' in mine.toml any more"),
    ]
    for text, sentence in cases:
        file = mine(tmp_path, text)
        with pytest.raises(Refusal, match=sentence):
            remove_entry(file, "a")
        assert file.read_text() == text


def test_an_inline_list_takes_no_more_models_either(tmp_path: Path) -> None:
    file = mine(tmp_path, 'model = [{name = "a", base = "x"}]\n')
    with pytest.raises(Refusal, match="can't be changed safely here"):
        add_entry(file, {"name": "b", "base": "x"})


def test_a_refused_model_can_be_removed_and_the_good_one_of_its_name_stays(tmp_path: Path) -> None:
    file = mine(tmp_path, f'{GOOD}[[model]]\nname = "Good"\nbase = "other"\n[[model]]\nbase = "nameless"\n')
    remove_entry(file, "Good")
    assert read_registry(file)[0][0].base == "base"
    remove_entry(file, "model 2")
    assert file.read_text() == GOOD


def test_undo_is_refused_after_another_change(tmp_path: Path) -> None:
    file = mine(tmp_path)
    done = remove_entry(file, "a")
    file.write_text(file.read_text() + "# mine again\n")
    with pytest.raises(Refusal, match=r"mine.toml was changed since"):
        undo(done)
    assert file.read_text().endswith("# mine again\n")


def test_a_link_stays_a_link_and_permissions_stay(tmp_path: Path) -> None:
    file = mine(tmp_path)
    file.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    remove_entry(link, "a")
    assert link.is_symlink() and file.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in read_registry(file)[0]] == ["b", "c"]
