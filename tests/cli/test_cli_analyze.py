"""`analyze`: the contract's files, rows and exit codes."""

import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch

from core import paths
from core.analyses.catalogue import ANALYSES
from core.store.records import read_key
from tests.checkpoints import LABELS, write_registry
from tests.cli.command import Answer, Run, lorascope, pick, rows, run_json
from tests.conftest import save_sound
from tests.corpora.trees import iemocap_tree
from tests.models.workshop import copied, put_nan

Quick = Callable[..., Answer]
COLUMNS = "analysis,variant,model,versus,layer,module,component,statistic,clip_id,value,ci_low,ci_high,n"
MODELS = ["Frozen", "LoRA", "Wide", "Full"]
LAYERS, CLIPS = 3, 8


def files(directory: Path) -> set[str]:
    return {path.relative_to(directory).as_posix() for path in directory.rglob("*")}


# A whole run


def test_a_run_ends_well_and_says_nothing_in_a_pipe(first_run: Run) -> None:
    """No progress bar, no escape codes, no warning of a library."""
    assert first_run.answer == Answer(0, "", "")


def test_a_file_for_each_analysis_and_one_for_the_run(first_run: Run) -> None:
    assert files(first_run.out) == {"predict.csv", "contributions.csv", "lens.csv", "run.json"}


@pytest.mark.parametrize("analysis", ["predict", "contributions", "lens"])
def test_columns_are_the_contracts(first_run: Run, analysis: str) -> None:
    text = (first_run.out / f"{analysis}.csv").read_bytes()
    assert text.startswith(COLUMNS.encode() + b"\n")
    assert b"\r" not in text and text.endswith(b"\n")
    table = first_run.rows(analysis)
    assert {row["analysis"] for row in table} == {analysis}
    assert {row["variant"] for row in table} == {"published"}
    assert {row["model"] for row in table} == set(MODELS)
    for row in table:
        assert row["statistic"]
        for name in ("value", "ci_low", "ci_high"):
            assert row[name] == "" or math.isfinite(float(row[name]))


def test_every_undefined_value_has_a_reason(first_run: Run) -> None:
    for analysis in ("predict", "contributions", "lens"):
        for row in first_run.rows(analysis):
            if not row["value"]:
                about = [note["about"] for note in first_run.json["notes"] if note["analysis"] == analysis]
                assert any(row["model"] in text for text in about), row


def test_predict_rows(first_run: Run) -> None:
    """One a clip and class, each clip's adding up to 1."""
    table = first_run.rows("predict")
    assert len(table) == len(MODELS) * CLIPS * len(LABELS)
    ids = [clip["clip_id"] for clip in first_run.json["clips"]]
    for model in MODELS:
        for clip_id in ids:
            of_clip = pick(table, model=model, clip_id=clip_id)
            assert [row["component"] for row in of_clip] == list(LABELS)
            assert sum(float(row["value"]) for row in of_clip) == pytest.approx(1, abs=1e-12)
            for row in of_clip:
                assert (row["statistic"], row["versus"], row["layer"], row["module"]) == ("prob", "", "", "")


def test_contribution_rows(first_run: Run) -> None:
    """Each component and statistic at each layer, and the difference to the reference for every other model."""
    table = first_run.rows("contributions")
    for model in MODELS:
        for versus in ["", "Frozen"]:
            for component in ("attention", "mlp", "sum"):
                for statistic in ("relative", "cosine"):
                    wanted = {"model": model, "versus": versus, "component": component, "statistic": statistic}
                    found = pick(table, **wanted)
                    if versus == model:
                        assert not found
                        continue
                    assert [row["layer"] for row in found] == [str(layer) for layer in range(LAYERS)]
                    assert all(row["n"] == str(CLIPS) and row["clip_id"] == "" for row in found)
                    assert all(float(row["ci_low"]) <= float(row["ci_high"]) for row in found)
                    padding = pick(table, **wanted | {"statistic": f"padding_{statistic}"})
                    assert [row["layer"] for row in padding] == ["0", "1", "2"] * (versus == "")
            strongest = pick(table, model=model, versus=versus, component="landmark", statistic="strongest")
            assert len(strongest) == (versus != model)


def test_differences_are_model_minus_reference(first_run: Run) -> None:
    for analysis, statistics in (
        ("contributions", ("relative", "cosine")),
        ("lens", ("kl", "overlap", "accuracy", "label_prob")),
    ):
        table = first_run.rows(analysis)
        differences = [row for row in table if row["versus"] and row["statistic"] in statistics]
        assert differences
        for row in differences:
            same = {name: row[name] for name in ("layer", "component", "statistic", "clip_id")}
            (own,) = pick(table, model=row["model"], versus="", **same)
            (reference,) = pick(table, model="Frozen", versus="", **same)
            assert float(row["value"]) == pytest.approx(float(own["value"]) - float(reference["value"]), abs=1e-9)


def test_lens_rows(first_run: Run) -> None:
    table = first_run.rows("lens")
    points = [str(point) for point in range(LAYERS + 1)]
    for model in MODELS:
        for statistic, component in [
            *((name, "") for name in ("kl", "overlap", "accuracy", "uar", "label_prob")),
            *(("mean_prob", label) for label in LABELS),
        ]:
            found = pick(table, model=model, statistic=statistic, component=component, versus="")
            assert [row["layer"] for row in found] == points
            assert all(row["clip_id"] == "" for row in found)
        for clip in first_run.json["clips"]:
            found = pick(table, model=model, statistic="prob", clip_id=clip["clip_id"])
            assert [(row["layer"], row["component"]) for row in found] == [(p, c) for p in points for c in LABELS]
        landmarks = {row["statistic"] for row in pick(table, model=model, component="landmark", clip_id="")}
        assert landmarks >= {"saturation", "critical", "kl_min", "commitment", "cka_jump"}


def test_run_json_says_all_that_is_needed_to_cite_and_repeat_it(first_run: Run, registry: Path) -> None:
    run = first_run.json
    assert run["command"].startswith("python -m core analyze predict,contributions,lens --models all --clips folder:")
    assert run["versions"].keys() >= {"lorascope", "python", "torch", "transformers", "peft", "nnsight", "numpy"}
    assert run["versions"]["torch"].startswith(torch.__version__.split("+")[0])
    assert (run["device"], run["dtype"], run["frames"], run["variant"]) == ("cpu", "float32", "all", "published")
    assert (run["seed"], run["reference"], run["registry"]) == (0, "Frozen", str(registry))
    assert [model["name"] for model in run["models"]] == MODELS
    assert all(len(model["fingerprint"]) == 64 for model in run["models"])
    assert len({model["fingerprint"] for model in run["models"]}) == len(MODELS)
    assert [clip["name"] for clip in run["clips"]] == [f"clip{i}.wav" for i in range(CLIPS)]
    assert all(len(clip["clip_id"]) == 64 for clip in run["clips"])
    assert run["cache"] == {"hits": 0, "misses": len(MODELS) * CLIPS}
    assert run["wall_time_s"] > 0
    assert run["casualties"] == [] and run["windowed"] == []


def test_a_second_run_reads_everything_from_the_cache_and_says_the_same(
    first_run: Run, quick: Quick, registry: Path, voices: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("--models", "all", "--clips", f"folder:{voices}", "--registry", registry, "--out", out)
    assert quick("analyze", "predict,contributions,lens", *words, "--cache", first_run.cache) == Answer(0, "", "")
    for name in ("predict.csv", "contributions.csv", "lens.csv"):
        assert (out / name).read_bytes() == (first_run.out / name).read_bytes()
    assert run_json(out)["cache"] == {"hits": len(MODELS) * CLIPS, "misses": 0}


def test_a_slice_or_fewer_models_compute_nothing_anew(
    first_run: Run, quick: Quick, registry: Path, voices: Path, tmp_path: Path
) -> None:
    words = ("--clips", f"folder:{voices}", "--registry", registry, "--out", tmp_path, "--cache", first_run.cache)
    answer = quick("analyze", "lens", "--models", "Wide,LoRA", "--where", "speaker=S1,emotion=happy", *words)
    assert answer == Answer(0, "", "")
    run = run_json(tmp_path)
    assert run["cache"] == {"hits": 4, "misses": 0}
    assert [model["name"] for model in run["models"]] == ["Wide", "LoRA"] and run["reference"] == "Wide"
    assert [clip["name"] for clip in run["clips"]] == ["clip1.wav", "clip5.wav"]


def test_a_damaged_record_is_computed_again(
    first_run: Run, quick: Quick, registry: Path, voices: Path, tmp_path: Path
) -> None:
    cache = copied(first_run.cache, tmp_path / "cache")
    forward = [path for path in sorted(cache.rglob("*.safetensors")) if read_key(path)["kind"] == "forward"]
    for record in forward[:3]:
        data = bytearray(record.read_bytes())
        data[-9] ^= 4
        record.write_bytes(data)
    words = ("--models", "all", "--clips", f"folder:{voices}", "--registry", registry, "--out", tmp_path / "out")
    assert quick("analyze", "predict,contributions,lens", *words, "--cache", cache) == Answer(0, "", "")
    assert run_json(tmp_path / "out")["cache"] == {"hits": len(MODELS) * CLIPS - 3, "misses": 3}
    for name in ("predict", "contributions", "lens"):
        for mine, theirs in zip(rows(tmp_path / "out" / f"{name}.csv"), first_run.rows(name), strict=True):
            assert mine | {"value": "", "ci_low": "", "ci_high": ""} == theirs | {
                "value": "",
                "ci_low": "",
                "ci_high": "",
            }
            if mine["value"]:  # batches differ now, so the last digits may
                assert float(mine["value"]) == pytest.approx(float(theirs["value"]), rel=1e-4, abs=1e-4)


@pytest.fixture
def analyze(quick: Quick, registry: Path, voices: Path, tmp_path: Path) -> Quick:
    """`analyze WHAT` of two models over two clips into `out`; options are added, or replace these."""

    def run(what: str, *options: object, models: str = "Frozen,LoRA", clips: object = None) -> Answer:
        clips = f"folder:{voices}" if clips is None else clips
        plain = ("--models", models, "--clips", clips, "--registry", registry, "--out", tmp_path / "out", "--limit", 2)
        return quick("analyze", what, *plain, *options)

    return run


def test_all_is_every_analysis_but_the_long_one_and_the_order_does_not_matter(analyze: Quick, tmp_path: Path) -> None:
    assert analyze("all").code == 0
    assert {f"{name}.csv" for name in ANALYSES if name != "causal"} | {"run.json"} == files(tmp_path / "out")
    before = (tmp_path / "out" / "lens.csv").read_bytes()
    assert analyze("lens,predict,lens").code == 0
    assert run_json(tmp_path / "out")["analyses"] == [name for name in ANALYSES if name in ("predict", "lens")]
    assert (tmp_path / "out" / "lens.csv").read_bytes() == before


def test_variants_differ_where_they_must(analyze: Quick, tmp_path: Path) -> None:
    """Released turns the KL around, corrected normalises first and looks at audio frames; predictions stay."""
    kl, predicted, frames = {}, {}, {}
    for variant in ("published", "released", "corrected"):
        assert analyze("lens,predict", "--variant", variant).code == 0
        table = rows(tmp_path / "out" / "lens.csv")
        assert {row["variant"] for row in table} == {variant}
        kl[variant] = [float(r["value"]) for r in pick(table, statistic="kl", versus="", model="LoRA")]
        predicted[variant] = [r["value"] for r in rows(tmp_path / "out" / "predict.csv")]
        frames[variant] = run_json(tmp_path / "out")["frames"]
    assert frames == {"published": "all", "released": "all", "corrected": "audio"}
    for one, other in (("published", "released"), ("published", "corrected"), ("released", "corrected")):
        assert max(abs(a - b) for a, b in zip(kl[one], kl[other], strict=True)) > 1e-3
    assert predicted["published"] == predicted["released"] == predicted["corrected"]
    assert analyze("lens", "--variant", "corrected", "--frames", "all").code == 0
    assert run_json(tmp_path / "out")["frames"] == "all"
    last = pick(rows(tmp_path / "out" / "lens.csv"), statistic="kl", versus="", model="LoRA", layer=str(LAYERS))
    assert float(last[0]["value"]) == pytest.approx(0, abs=1e-9), "the last point with all frames is the model itself"


def test_the_reference_can_be_chosen(analyze: Quick, tmp_path: Path) -> None:
    assert analyze("contributions", "--reference", "LoRA", models="Frozen,Wide,LoRA").code == 0
    table = rows(tmp_path / "out" / "contributions.csv")
    assert {(r["model"], r["versus"]) for r in table if r["versus"]} == {("Frozen", "LoRA"), ("Wide", "LoRA")}


def test_untrained_counterparts_can_have_several_seeds(analyze: Quick, tmp_path: Path) -> None:
    """Each with passes of its own; what one seed needed comes from the cache."""
    assert analyze("spectra,cka", models="LoRA").code == 0
    assert run_json(tmp_path / "out")["untrained_seeds"] == 1
    assert analyze("spectra,cka", "--untrained-seeds", 2, models="LoRA").code == 0
    run = run_json(tmp_path / "out")
    assert run["untrained_seeds"] == 2 and run["cache"]["hits"] == 2 * run["cache"]["misses"] > 0
    names = {"LoRA", "LoRA (untrained)", "LoRA (untrained, seed 1)"}
    for analysis in ("spectra", "cka"):
        assert {row["model"] for row in rows(tmp_path / "out" / f"{analysis}.csv")} == names
    table = pick(rows(tmp_path / "out" / "spectra.csv"), component="A", module="", statistic="effective_rank")
    assert len({row["value"] for row in table}) == 3


def test_a_balanced_sample_is_the_seeds(analyze: Quick, tmp_path: Path) -> None:
    chosen = []
    for seed in (0, 0, 1, 2):
        assert analyze("predict", "--balanced", 1, "--limit", 8, "--seed", seed).code == 0
        run = run_json(tmp_path / "out")
        assert run["seed"] == seed and {clip["label"] for clip in run["clips"]} == set(LABELS)
        chosen.append(tuple(clip["name"] for clip in run["clips"]))
    assert chosen[0] == chosen[1] and len(set(chosen)) > 1


def test_the_same_audio_twice_counts_once(analyze: Quick, voices: Path, tmp_path: Path) -> None:
    for name in ("a.wav", "b.wav"):
        (tmp_path / "twice").mkdir(exist_ok=True)
        shutil.copy(voices / "clip0.wav", tmp_path / "twice" / name)
    assert analyze("predict", clips=f"folder:{tmp_path / 'twice'}").code == 0
    assert len(rows(tmp_path / "out" / "predict.csv")) == 2 * len(LABELS)
    assert "same audio" in str(run_json(tmp_path / "out")["notes"])


# Longer than the window


def test_a_clip_longer_than_the_window_is_said_and_the_window_can_be_moved(
    analyze: Quick, voices: Path, tmp_path: Path
) -> None:
    """The shelf's models take 1 s."""
    long = save_sound(tmp_path / "long.wav", 2.5, 3)
    sentence = "long.wav is 2.5 s long: only {} s were analysed (Frozen, LoRA); --window moves that."
    probabilities = []
    for options, part in (((), "0 to 1"), (("--window", "1.25"), "1.25 to 2.25")):
        answer = analyze("predict", *options, clips=long)
        assert answer == Answer(0, "", f"Note: {sentence.format(part)}\n")
        assert run_json(tmp_path / "out")["windowed"] == [sentence.format(part)]
        probabilities.append([float(row["value"]) for row in rows(tmp_path / "out" / "predict.csv")])
    assert max(abs(a - b) for a, b in zip(*probabilities, strict=True)) > 1e-4

    samples, rate = soundfile.read(long, dtype="int16")
    soundfile.write(tmp_path / "cut.wav", samples[20_000:36_000], rate)
    assert analyze("predict", clips=tmp_path / "cut.wav") == Answer(0, "", "")
    cut = [float(row["value"]) for row in rows(tmp_path / "out" / "predict.csv")]
    assert cut == pytest.approx(probabilities[1], abs=1e-5)


def test_a_window_does_not_move_clips_that_fit(analyze: Quick, tmp_path: Path) -> None:
    assert analyze("predict").code == 0
    before = (tmp_path / "out" / "predict.csv").read_bytes()
    assert analyze("predict", "--window", "0.5") == Answer(0, "", "")
    assert (tmp_path / "out" / "predict.csv").read_bytes() == before
    assert run_json(tmp_path / "out")["cache"]["misses"] == 0


def test_a_window_beyond_a_clips_end_is_a_casualty(analyze: Quick, voices: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    save_sound(folder / "long.wav", 1.5, 1)
    save_sound(folder / "short.wav", 0.5, 2)
    answer = analyze("predict", "--window", "2", clips=f"folder:{folder}")
    assert answer.code == 3
    assert "long.wav ends before the chosen window begins: move the window" in answer.err
    assert len(rows(tmp_path / "out" / "predict.csv")) == 2 * len(LABELS)


# Odd names


def test_clips_and_models_may_have_odd_names(quick: Quick, shelf: Path, tmp_path: Path) -> None:
    """Commas, quotes, a line break, letters of other alphabets, bytes that are no text."""
    folder = tmp_path / "clips"
    names = ["a, b.wav", 'quo"ted.wav', "new\nline.wav", "größe 声.wav", "-x.wav", os.fsdecode(b"caf\xe9.wav")]
    for i, name in enumerate(names):
        save_sound(folder / name, 0.3, i)
    model = 'Größe "r=5"; 声'
    registry = write_registry(
        tmp_path / "models.toml",
        [{"name": model.replace('"', '\\"'), "base": str(shelf / "base"), "head": str(shelf / "head")}],
    )
    words = ("--models", model, "--clips", f"folder:{folder}", "--registry", registry, "--out", tmp_path / "out")
    assert quick("analyze", "predict", *words) == Answer(0, "", "")
    table = rows(tmp_path / "out" / "predict.csv")
    assert {row["model"] for row in table} == {model} and len(table) == len(names) * len(LABELS)
    shown = {name.encode(errors="surrogateescape").decode(errors="replace") for name in names}
    assert {clip["name"] for clip in run_json(tmp_path / "out")["clips"]} == shown
    listed = quick("clips", "--clips", f"folder:{folder}")
    assert listed.code == 0 and listed.err == ""
    (tmp_path / "listed.csv").write_text(listed.out, encoding="utf-8")
    assert {row["name"] for row in rows(tmp_path / "listed.csv")} == shown


# Casualties


def test_a_clip_that_can_not_be_read_does_not_keep_the_others(analyze: Quick, voices: Path, tmp_path: Path) -> None:
    folder = copied(voices, tmp_path / "clips")
    (folder / "clip0.wav").write_bytes(b"no sound at all")
    (folder / "clip3.wav").unlink()
    answer = analyze("predict,lens", "--limit", 8, clips=f"folder:{folder}")
    assert answer.code == 3
    lines = answer.err.splitlines()
    assert len(lines) == 2 and "clip0.wav" in lines[0] and "clip3.wav does not exist" in lines[1]
    run = run_json(tmp_path / "out")
    assert run["casualties"] == lines
    assert len(run["clips"]) == CLIPS - 2
    assert run["source_notes"] == []
    assert len(rows(tmp_path / "out" / "predict.csv")) == 2 * (CLIPS - 2) * len(LABELS)


def test_a_run_keeps_what_is_worth_knowing_about_its_clips(analyze: Quick, tmp_path: Path) -> None:
    release = iemocap_tree(tmp_path, per_class=1, seconds=0.2)
    assert analyze("predict", "--limit", 1, clips=f"iemocap:{release}").code == 0
    notes = run_json(tmp_path / "out")["source_notes"]
    assert "Left out, because their label is none of the four classes: 10 xxx, 10 fru." in notes


@pytest.fixture
def broken_registry(shelf: Path, tmp_path: Path) -> Path:
    """A good model, one whose files are not there, one that turns out to hold NaN, one that is not well-formed."""
    put_nan(
        copied(shelf / "lora", tmp_path / "nan") / "adapter_model.safetensors",
        "base_model.model.encoder.layers.1.self_attn.q_proj.lora_B.weight",
    )
    base = str(shelf / "base")
    return write_registry(
        tmp_path / "broken.toml",
        [
            {"name": "Gone", "base": base, "adapter": "gone", "labels": LABELS},
            {"name": "Good", "base": base, "head": str(shelf / "head")},
            {"name": "NaN", "base": base, "adapter": "nan", "labels": LABELS},
            {"name": "Typo", "base": base, "adaptor": "nan"},
        ],
    )


@pytest.mark.parametrize("models", ["all", "Typo,NaN,Good,Gone"])
def test_models_that_can_not_be_used_do_not_keep_the_others(
    quick: Quick, broken_registry: Path, voices: Path, tmp_path: Path, models: str
) -> None:
    words = ("--models", models, "--clips", f"folder:{voices}", "--registry", broken_registry, "--limit", 3)
    answer = quick("analyze", "predict,contributions,lens", *words, "--out", tmp_path / "out")
    assert answer.code == 3
    lines = answer.err.splitlines()
    assert run_json(tmp_path / "out")["casualties"] == lines and len(lines) == 3
    for part in (
        "Typo in broken.toml: `adaptor` is not a setting of a model",
        f"Gone: {tmp_path}/gone does not exist",
        "holds NaN or Inf in base_model.model.encoder.layers.1.self_attn.q_proj.lora_B.weight",
    ):
        assert sum(part in line for line in lines) == 1, part
    assert "(3 clips: clip0.wav, clip1.wav, clip2.wav)" in answer.err
    table = rows(tmp_path / "out" / "predict.csv")
    assert {row["model"] for row in table} == {"Good"} and len(table) == 3 * len(LABELS)
    assert {row["model"] for row in rows(tmp_path / "out" / "lens.csv")} == {"Good"}
    notes = run_json(tmp_path / "out")["notes"]
    assert any(note["about"] == "NaN" and "3 of 3 clips have no record" in note["reason"] for note in notes)


def test_models_that_were_not_asked_for_are_left_alone(
    quick: Quick, broken_registry: Path, voices: Path, tmp_path: Path
) -> None:
    """Neither casualties nor fetched from the Hub."""
    words = ("--models", "Good", "--clips", f"folder:{voices}", "--registry", broken_registry, "--limit", 1)
    assert quick("analyze", "predict", *words, "--out", tmp_path / "out") == Answer(0, "", "")


# Requests that are wrong


WRONG = {
    "analysis": (["spectrums"], {}, "'spectrums' is no analysis; there are"),
    "no analysis": ([","], {}, "'nothing' is no analysis"),
    "model": ([], {"--models": "Frozen,Nobody"}, "no model 'Nobody' in the registry; there are 'Frozen', 'LoRA'"),
    "no model": ([], {"--models": ","}, "--models names no model"),
    "source": ([], {"--clips": "nowhere:x"}, "'nowhere:x' is no clip source: use demo, iemocap:/path, folder:"),
    "file": ([], {"--clips": "gone.wav"}, "There is no audio file gone.wav"),
    "folder": ([], {"--clips": "folder:/gone"}, "There is no folder /gone"),
    "variant": ([], {"--variant": "improved"}, "choose from 'published', 'released', 'corrected'"),
    "frames": ([], {"--frames": "some"}, "choose from 'all', 'audio'"),
    "reference": ([], {"--reference": "Wide"}, "The reference 'Wide' is not among the chosen models"),
    "device": ([], {"--device": "gpu"}, "'gpu'"),
    "dtype": ([], {"--dtype": "float8"}, "'float8'"),
    "window": ([], {"--window": "-1"}, "--window is -1 s"),
    "nan window": ([], {"--window": "nan"}, "--window is nan s"),
    "endless window": ([], {"--window": "inf"}, "--window is inf s"),
    "wordy window": ([], {"--window": "later"}, "--window"),
    "slice": ([], {"--where": "mood=anger"}, "'mood=anger' in --where is not understood"),
    "empty slice": ([], {"--where": "emotion=fear"}, "No clip fits emotion=fear"),
    "balanced": ([], {"--balanced": "0"}, "'0' is no whole number, 1 or more"),
    "limit": ([], {"--limit": "some"}, "'some' is no whole number, 1 or more"),
    "seed": ([], {"--seed": "-3"}, "'-3' is no whole number, 0 or more"),
    "untrained seeds": ([], {"--untrained-seeds": "0"}, "'0' is no whole number, 1 or more"),
    "part": (["causal"], {"--causal": "layers,heads"}, "'heads' is no part of causal; there are layers and patching"),
    "no part": (["causal"], {"--causal": ","}, "'nothing' is no part of causal"),
    "pairs": (["causal"], {"--pairs": "random"}, "choose from 'dial', 'minimal', 'noise'"),
    "span": (["causal"], {"--span": "0.8"}, "'0.8' is no time span: give two rising seconds, as 0.2-0.8"),
    "falling span": (["causal"], {"--span": "0.8-0.2"}, "'0.8-0.2' is no time span"),
    "negative span": (["causal"], {"--span": "-1-0.2"}, "--span"),
    "span past the window": (["causal"], {"--span": "0.2-1.5"}, "--span ends at 1.5 s, but Frozen hears 1 s"),
    "registry": ([], {"--registry": "/gone.toml"}, "There is no registry file /gone.toml"),
    "cache": ([], {"--cache": "/dev/null/cache"}, "The cache directory /dev/null/cache can't be written"),
    "out": ([], {"--out": "/dev/null/out"}, "/dev/null/out can't be written"),
    "option": ([], {"--colour": "red"}, "unrecognized arguments: --colour red"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_one_line_and_changes_nothing(
    quick: Quick, registry: Path, voices: Path, tmp_path: Path, case: str
) -> None:
    what, options, expected = WRONG[case]
    plain = {
        "--models": "Frozen,LoRA",
        "--clips": f"folder:{voices}",
        "--registry": registry,
        "--out": tmp_path / "new",
        "--limit": 2,
    }
    words = [str(word) for pair in (plain | options).items() for word in pair]
    answer = quick("analyze", *(what or ["predict"]), *words)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith("lorascope: ") and answer.err.count("\n") == 1
    assert expected in answer.err
    assert not (tmp_path / "new").exists()

    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "predict.csv").write_text("mine")
    if "--out" not in options:
        again = quick("analyze", *(what or ["predict"]), *words[:7], tmp_path / "old", *words[8:])
        assert again.code == 2
        assert files(tmp_path / "old") == {"predict.csv"}
        assert (tmp_path / "old" / "predict.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["analyse"], "invalid choice: 'analyse'"),
        (["analyze", "predict", "--clips", "demo", "--out", "x"], "the following arguments are required: --models"),
        (["analyze", "predict", "--models", "all", "--out", "x"], "the following arguments are required: --clips"),
        (["cache", "burn"], "invalid choice: 'burn'"),
        (["cache", "prune", "--to-gb", "little"], "--to-gb"),
        (["clips"], "the following arguments are required: --clips"),
        (["models", "--registry", "/gone.toml"], "There is no registry file /gone.toml"),
    ],
    ids=str,
)
def test_what_is_no_command_is_refused_in_one_line(quick: Quick, words: list[str], expected: str) -> None:
    answer = quick(*words)
    assert answer.code == 2 and answer.out == ""
    assert answer.err.startswith("lorascope: ") and answer.err.count("\n") == 1
    assert expected in answer.err


def test_where_nothing_could_be_done_the_request_is_wrong(
    quick: Quick, broken_registry: Path, voices: Path, tmp_path: Path
) -> None:
    """No usable clip, no usable model, no pass that works: exit code 2, not 3."""
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    plain = ("--registry", broken_registry, "--out", tmp_path / "out")
    clip = voices / "clip0.wav"
    for models, clips, expected in (
        ("Good", tmp_path / "bad.wav", "None of the clips can be used; the first: bad.wav"),
        ("Gone", clip, "Gone: "),
        ("Typo,Gone", clip, "`adaptor` is not a setting"),
        ("NaN", clip, "None of the 1 passes could be made; the first: "),
    ):
        answer = quick("analyze", "predict", "--models", models, "--clips", clips, *plain)
        assert answer.code == 2 and answer.err.count("\n") == 1
        assert answer.err.startswith("lorascope: ") and expected in answer.err
    assert not (tmp_path / "out").exists() or not files(tmp_path / "out")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(analyze: Quick) -> None:
    answer = analyze("predict", "--device", "cuda")
    assert answer.code == 2 and answer.err.count("\n") == 1
    assert "this torch sees no GPU" in answer.err


def test_our_own_failure_is_exit_code_one_with_a_traceback(
    quick: Quick, monkeypatch: pytest.MonkeyPatch, voices: Path
) -> None:
    from core.cli import listing

    def fail(*_: object) -> None:
        raise RuntimeError("broken inside")

    monkeypatch.setattr(listing, "select_clips", fail)
    answer = quick("clips", "--clips", f"folder:{voices}")
    assert answer.code == 1
    assert "RuntimeError: broken inside" in answer.err
    assert answer.err.endswith("lorascope: that is a fault of LoRAscope, not of your request.\n")


# Without a cache


def test_no_cache_leaves_nothing_behind(quick: Quick, registry: Path, voices: Path, tmp_path: Path) -> None:
    """Not in the cache directory, and not in the directory for temporary files."""
    words = ("--models", "Frozen", "--clips", voices / "clip0.wav", "--registry", registry, "--no-cache")
    for _ in range(2):
        assert quick("analyze", "predict", *words, "--out", tmp_path / "out") == Answer(0, "", "")
        assert run_json(tmp_path / "out")["cache"] == {"hits": 0, "misses": 1}
    assert not (tmp_path / "cache").exists()
    assert files(tmp_path) == {"out", "out/predict.csv", "out/run.json"}


def test_paths_are_relative_to_where_the_command_is_run(registry: Path, voices: Path, tmp_path: Path) -> None:
    """From another directory, with a `.env` in it, and with temporary files of its own: none is left."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / ".env").write_text(f'LORASCOPE_REGISTRY="{registry}"\nLORASCOPE_CACHE_DIR=from-env\n')
    for name in ("a.wav", "b.wav"):
        shutil.copy(voices / f"clip{int(name == 'a.wav')}.wav", tmp_path / name)
    answer = lorascope("clips", "--clips", "b.wav", "a.wav", cwd=tmp_path, TMPDIR=str(tmp_path / "tmp"))
    assert (answer.code, answer.err) == (0, "")
    assert [line.split(",")[1] for line in answer.out.splitlines()] == ["name", "b.wav", "a.wav"]
    assert (tmp_path / "from-env" / "index.sqlite").is_file()
    answer = lorascope("models", "--no-such", cwd=tmp_path)
    assert answer.code == 2
    answer = lorascope("models", cwd=tmp_path)
    assert answer.code == 0 and "Wide" in answer.out
    assert files(tmp_path / "tmp") == set()
    assert not (paths.ROOT / "from-env").exists()
