"""The leakage audit in sentences, on a made-up IEMOCAP release: each way in which a checkpoint can have seen clips."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from core.audio.decoder import decoder
from core.corpora.clip import Clip
from core.corpora.folds import Fold, make_folds
from core.corpora.leakage import Facts, facts_of
from core.corpora.select import identify
from core.corpora.source import list_source
from core.evaluation.manifest import Manifest, read_manifest
from core.evaluation.verdicts import Level, Verdict, said, verdicts, worst
from core.store.index import Index
from core.training.manifest import about_fold, write_manifest
from core.training.recipe import Recipe
from tests.corpora.trees import iemocap_tree


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    """Ten speakers, two dialogs a session, one under each letter; ids are of the sounds themselves."""
    root = tmp_path_factory.mktemp("release")
    source = f"iemocap:{iemocap_tree(root, per_class=2, seconds=0.2, oddities=False)}"
    clips, unusable = identify(list_source(source).clips, decoder(), Index(root / "index.sqlite"))
    assert not unusable and len(clips) == 80
    return clips


def trained(directory: Path, fold: Fold, clips: Sequence[Clip], scheme: str) -> Manifest:
    """What training writes beside a checkpoint of this fold, read back."""
    recipe = Recipe()
    directory.mkdir(exist_ok=True)
    told = {"source": ["iemocap:/x"], "where": "", "base": "base", "base_fingerprint": "print", "head": None}
    told |= {"method": recipe.method, "rank": recipe.rank, "recipe": recipe.as_json(), "seed": 1}
    told |= {"labels": ["anger", "happiness", "neutral", "sadness"], "scheme": scheme}
    write_manifest(directory, told | about_fold(fold, clips))
    return read_manifest(directory)


def heard(manifest: Manifest, train: Sequence[Clip], validation: Sequence[Clip] = ()) -> Manifest:
    """The same, of a training that heard these clips."""
    return replace(manifest, train=facts_of(train), validation=facts_of(validation), test=Facts(), leaking=False)


def about(name: str, found: Sequence[Verdict]) -> Verdict:
    return next(verdict for verdict in found if verdict.about == name)


@pytest.fixture
def manifest(tmp_path: Path, release: list[Clip]) -> Manifest:
    return trained(tmp_path / "fold1", make_folds(release, "speakers")[0], release, "speakers")


def test_a_speaker_shared_through_the_dialogs_letter_is_found(tmp_path: Path, release: list[Clip]) -> None:
    """Split by the letter of the dialog, a woman tested in `Ses01F_…` dialogs is in training in `Ses01M_…` ones."""
    fold = next(one for one in make_folds(release, "released") if one.held_out == "Ses01F")
    tested = [release[i] for i in fold.test]
    assert {clip.dialog[:6] for clip in tested if clip.dialog} == {"Ses01F"}
    found = verdicts(trained(tmp_path / "fold", fold, release, "released"), tested)
    speakers = about("speakers", found)
    assert speakers.level is Level.LEAK
    assert speakers.text == "2 of these 2 speakers were in training: Ses01F, Ses01M."
    assert about("clips", found) == Verdict(Level.CLEAN, "clips", f"None of these {len(tested)} clips was in training.")
    assert "Its folds (`released`) leak" in about("folds", found).text
    assert worst(found) is Level.LEAK


def test_the_same_session_is_a_leak_though_the_speaker_is_new(release: list[Clip], manifest: Manifest) -> None:
    """Her partner's voice and their room were heard, in other dialogs than these."""
    woman = [clip for clip in release if clip.speaker == "Ses03F" and clip.dialog == "Ses03F_script03_2"]
    man = [clip for clip in release if clip.speaker == "Ses03M" and clip.dialog == "Ses03M_impro08b"]
    found = verdicts(heard(manifest, man), woman)
    assert about("speakers", found).level is Level.CLEAN
    assert about("dialogs", found).level is Level.CLEAN
    assert about("sessions", found) == Verdict(Level.LEAK, "sessions", "This session was in training: Ses03.")
    assert worst(found) is Level.LEAK


def test_the_same_script_by_other_voices_is_noted_and_no_leak(release: list[Clip], manifest: Manifest) -> None:
    first = [clip for clip in release if clip.dialog == "Ses01M_script01_1"]
    fourth = [clip for clip in release if clip.dialog == "Ses04M_script01_1"]
    assert first and fourth
    found = verdicts(heard(manifest, first), fourth)
    assert about("scripts", found) == Verdict(Level.NOTE, "scripts", "This script was in training: script01_1.")
    assert worst(found) is Level.CLEAN


def test_a_clip_in_training_is_found_by_its_sound_whatever_it_is_called(
    release: list[Clip], manifest: Manifest
) -> None:
    renamed = replace(release[0], name="mine.wav", speaker=None, session=None, dialog=None)
    found = verdicts(heard(manifest, release[:5]), [renamed])
    assert about("clips", found) == Verdict(Level.LEAK, "clips", "This clip was in training.")
    assert about("speakers", found).text == "The speakers of these clips are not known, so they can't be compared."
    assert worst(found) is Level.LEAK


def test_choosing_the_epoch_on_the_test_fold_is_found(tmp_path: Path, release: list[Clip]) -> None:
    fold = make_folds(release, "released")[0]
    tested = [release[i] for i in fold.test]
    manifest = trained(tmp_path / "fold", fold, release, "released")
    chosen = about("selection", verdicts(manifest, tested))
    n = len(tested)
    assert chosen == Verdict(Level.LEAK, "selection", f"Its best epoch was chosen on {n} of these {n} clips.")
    elsewhere = [Clip("new", "new.wav", 1, speaker="somebody", session="elsewhere")]
    assert about("selection", verdicts(manifest, elsewhere)).text == (
        "Its best epoch was chosen on its own test clips: the scores in its manifest are too good."
    )


def test_a_fold_by_speakers_is_clean_on_its_own_test_clips(release: list[Clip], manifest: Manifest) -> None:
    tested = [release[i] for i in make_folds(release, "speakers")[0].test]
    found = verdicts(manifest, tested)
    assert {verdict.about for verdict in found if verdict.level is Level.LEAK} == set()
    assert worst(found) is Level.CLEAN
    partner = [clip for clip in release if clip.speaker == "Ses01M"]
    assert about("selection", verdicts(manifest, partner)).level is Level.LEAK, "there the epoch was chosen"


def test_what_nobody_knows_is_not_called_clean(manifest: Manifest) -> None:
    bare = [Clip("new", "new.wav", 1)]
    assert worst(verdicts(None, bare)) is Level.UNKNOWN
    assert "nobody can say" in verdicts(None, bare)[0].text
    assert worst(verdicts(manifest, bare)) is Level.UNKNOWN


def test_the_answer_names_each_model_once() -> None:
    text = said({"a": Level.LEAK, "b": Level.CLEAN, "c": Level.CLEAN, "d": Level.UNKNOWN}, 1200)
    assert text.startswith("**Do not trust scores of a on these 1\u2009200 clips**")
    assert "b and c can be trusted on these 1\u2009200 clips" in text
    assert "Of d nobody can tell" in text
    assert said({"b": Level.CLEAN}, 1) == "b can be trusted on this clip: training heard neither it nor its speaker."
