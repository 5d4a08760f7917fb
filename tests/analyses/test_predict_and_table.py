"""Predictions, the rows they become, and the CSV those become; and what every analysis shares."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from core.analyses import predict
from core.analyses.catalogue import ANALYSES
from core.analyses.request import COLUMNS, AnalysisRequest, Row
from core.analyses.table import csv_text, write_csv
from tests.analyses.fabricate import make_clips, make_model, make_shelf

CLIPS = make_clips(["angry", "neutral", None])

FORWARD = ("predict", "contributions", "lens")  # these read forward records and nothing else


def test_probabilities_are_the_softmax_of_the_models_own_logits():
    model = make_model(labels=("sad", "ang", "neu"))
    shelf = make_shelf([model], CLIPS)
    result = predict.compute(shelf, AnalysisRequest((model,), CLIPS, "frozen"))
    rows = list(result.rows())
    assert [row.component for row in rows[:3]] == ["sad", "ang", "neu"]
    for i, clip in enumerate(CLIPS):
        logits = shelf.records["frozen", clip.clip_id].logits
        expected = [np.exp(x) / sum(np.exp(logits)) for x in logits]
        assert [r.value for r in rows if r.clip_id == clip.clip_id] == pytest.approx(expected)
        assert result.models[0].probabilities[i].sum() == pytest.approx(1)
    assert {row.statistic for row in rows} == {"prob"}


def test_a_failed_pass_leaves_its_rows_out_and_says_so():
    model, other = make_model(), make_model("other")
    shelf = make_shelf([model, other], CLIPS)
    del shelf.records["other", CLIPS[1].clip_id]
    result = predict.compute(shelf, AnalysisRequest((model, other), CLIPS, "frozen"))
    assert [len(one.clips) for one in result.models] == [3, 2]
    assert [note.about for note in result.notes] == ["other"]
    assert "clip 1" in result.notes[0].reason
    assert predict.compute(replace(shelf, records={}), AnalysisRequest((model,), CLIPS, "frozen")).rows()


def test_undefined_probabilities_become_empty_cells_with_a_reason():
    model = make_model()
    shelf = make_shelf([model], CLIPS)
    broken = shelf.records["frozen", CLIPS[0].clip_id]
    shelf.records["frozen", CLIPS[0].clip_id] = replace(broken, logits=np.full(3, np.nan))
    result = predict.compute(shelf, AnalysisRequest((model,), CLIPS, "frozen"))
    values = [row.value for row in result.rows()]
    assert values[:3] == [None] * 3
    assert None not in values[3:]
    assert "clip 0" in result.notes[0].reason


@pytest.mark.parametrize("name", FORWARD)
def test_every_analysis_of_forward_records_is_generic(name):
    """Needs each pass once, reads only these, and speaks the contract's columns."""
    models = (make_model(), make_model("lora"))
    clips = (*make_clips(["ang", "neu", "sad", "ang", "sad"]), make_clips(["ang"])[0])  # the last repeats the first
    request = AnalysisRequest(models, clips, "frozen", window_start=160)
    shelf = make_shelf(models, clips)
    needed = ANALYSES[name].needs(request)
    asked = [(p.model.name, p.clip.clip_id) for p in needed]
    assert sorted(asked) == sorted(shelf.records) and len(set(asked)) == len(asked)
    assert [model for model, _ in asked[:2]] == ["frozen", "lora"]  # a clip's models together: all curves grow at once
    assert {(p.window_start, p.lora) for p in needed} == {(0, False)}  # these clips fit the window
    result = ANALYSES[name].compute(shelf, request)
    assert shelf.read == list(shelf.records)
    assert any("same audio" in note.reason for note in result.notes)
    rows = list(result.rows())
    assert {row.analysis for row in rows} == {name}
    assert {row.variant for row in rows} == {"published"}
    identity = [(r.model, r.versus, r.layer, r.component, r.statistic, r.clip_id) for r in rows]
    assert len(set(identity)) == len(rows)
    # Nothing at all is not an error either.
    empty = ANALYSES[name].compute(make_shelf(models, ()), request)
    assert list(empty.rows()) == []
    assert any("have no record" in note.reason for note in empty.notes)


@pytest.mark.parametrize("name", FORWARD)
def test_a_record_that_does_not_fit_its_model_is_an_error(name):
    model = make_model()
    shelf = make_shelf([replace(model, labels=("a", "b"))], CLIPS)
    with pytest.raises(ValueError, match="2 classes, expected 5 and 3"):
        ANALYSES[name].compute(shelf, AnalysisRequest((model,), CLIPS, "frozen"))


def test_csv_has_the_columns_in_order_and_numbers_that_read_back():
    row = Row("lens", "published", 'name, "quoted"', layer=0, value=float(np.float64(0.1) + 0.2), ci_low=-0.0, n=3)
    text = csv_text([row, replace(row, value=None), replace(row, value=float("nan"))])
    assert text.splitlines()[0] == (
        "analysis,variant,model,versus,layer,module,component,statistic,clip_id,value,ci_low,ci_high,n"
    )
    read = list(csv.DictReader(io.StringIO(text)))
    assert tuple(read[0]) == COLUMNS
    assert float(read[0]["value"]) == 0.1 + 0.2
    assert read[0]["model"] == 'name, "quoted"'
    assert (read[0]["layer"], read[0]["versus"], read[0]["n"]) == ("0", "", "3")
    assert read[1]["value"] == read[2]["value"] == ""


def test_numpy_numbers_are_written_as_numbers():
    assert ",0.25," in csv_text([Row("lens", "published", "m", value=np.float64(0.25))])


def test_a_csv_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "lens.csv"
    row = Row("lens", "published", "modèle")

    def breaks():
        yield row
        raise RuntimeError

    write_csv(path, [row])
    before = path.read_bytes()
    assert before.decode() == csv_text([row])
    with pytest.raises(RuntimeError):
        write_csv(path, breaks())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_reference_must_be_among_the_models():
    with pytest.raises(ValueError, match="'other'"):
        AnalysisRequest((make_model(),), CLIPS, "other")
