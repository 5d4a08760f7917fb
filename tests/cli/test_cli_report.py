"""`report`: one HTML file with the pages' charts, whose numbers are those that `analyze` writes."""

import base64
import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.cli.command import Answer, rows

Quick = Callable[..., Answer]
VOID = {"meta", "link", "br", "hr", "img"}


@dataclass
class Report(HTMLParser):
    """What a report's file holds."""

    titles: list[str] = field(default_factory=list)
    charts: list[dict] = field(default_factory=list)
    tables: list[list[dict[str, str]]] = field(default_factory=list)
    maths: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    _open: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    @classmethod
    def of(cls, file: Path) -> "Report":
        found = cls()
        found.feed(file.read_text(encoding="utf-8"))
        assert not found._open, "every tag is closed"
        return found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.outside += [value for name, value in attrs if name == "src" and value]
        href = known.get("href") or ""
        if tag == "a" and known.get("download"):
            data = base64.b64decode(href.removeprefix("data:text/csv;base64,")).decode()
            self.tables.append(list(csv.DictReader(io.StringIO(data))))
        elif href and not href.startswith("#"):
            self.outside.append(href)
        if tag == "math":
            self.maths.append("")
        if tag not in VOID:
            self._open.append((tag, known))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tags = [tag for tag, _ in self._open]
        if "math" in tags:
            self.maths[-1] += data
        elif tags[-1:] == ["script"]:
            if self._open[-1][1].get("class") == "figure":
                self.charts.append(json.loads(data))
        elif "style" not in tags:
            if tags[-1:] == ["h2"]:
                self.titles.append(data)
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


@pytest.fixture
def report(quick: Quick, registry: Path, voices: Path, tmp_path: Path) -> Callable[..., Answer]:
    """`report` of the voices into report.html."""

    def run(*words: object, clips: object = None, out: str = "report.html") -> Answer:
        clips = clips or f"folder:{voices}"
        return quick("report", *words, "--clips", clips, "--registry", registry, "--out", tmp_path / out)

    return run


@pytest.mark.parametrize("variant", ["published", "released", "corrected"])
def test_every_chart_of_every_analysis_with_the_numbers_that_analyze_writes(
    report: Callable[..., Answer], quick: Quick, registry: Path, voices: Path, tmp_path: Path, variant: str
) -> None:
    common = ("--models", "Frozen,LoRA,Wide", "--variant", variant)
    assert report("all,causal", *common) == Answer(0, "", "")
    found = Report.of(tmp_path / "report.html")
    adapted = [f"Causal: {model}{part}" for model in ("LoRA", "Wide") for part in ("", ", patching")]
    analyses = ["Contributions", "Lens", "Spectra", "Similarity", "Ranks", "Causal: Frozen", *adapted]
    assert found.titles == [*analyses, "How this was made"]
    assert not found.outside and "synthetic" not in found.words.lower()
    assert f"{variant} variant" in found.words and "8 clips of 2 speakers" in found.words
    # charts are there, with formulas that say something
    assert len(found.charts) == len(found.tables) == len(found.maths) > 20
    assert all(chart["data"] for chart in found.charts)
    assert all(math.strip() and "\\" not in math for math in found.maths), "a command that was not understood"
    # and what they show is what the other command writes
    words = ("--clips", f"folder:{voices}", "--registry", registry, "--out", tmp_path / "out")
    assert quick("analyze", "all,causal", *common, *words) == Answer(0, "", "")
    written = {tuple(row.values()) for file in (tmp_path / "out").glob("*.csv") for row in rows(file)}
    shown = [tuple(row.values()) for table in found.tables for row in table]
    assert len(shown) > 1000 and set(shown) <= written


def test_one_analysis_alone_reads_what_its_section_needs(report: Callable[..., Answer], tmp_path: Path) -> None:
    assert report("lens", "--models", "LoRA") == Answer(0, "", "")
    found = Report.of(tmp_path / "report.html")
    assert found.titles == ["Lens", "How this was made"]
    assert any(row["analysis"] == "contributions" for row in found.tables[-1]), "where it writes most is a landmark"


def test_what_could_not_be_used_is_listed(report: Callable[..., Answer], voices: Path, tmp_path: Path) -> None:
    """And a title is text, whatever it holds."""
    folder = tmp_path / "both"
    folder.mkdir()
    (folder / "bad.wav").write_bytes(b"RIFF")
    (folder / "good.wav").write_bytes((voices / "clip0.wav").read_bytes())
    title = "</script><b>A</b> & B"
    answer = report("contributions", "--models", "LoRA", "--title", title, clips=f"folder:{folder}")
    assert answer.code == 3 and "bad.wav" in answer.err
    found = Report.of(tmp_path / "report.html")
    assert title in found.words and "Not used bad.wav" in found.words
    assert "1 model on 1 clip (unlabelled 1)" in found.words


def test_clips_and_partner_are_named(report: Callable[..., Answer], tmp_path: Path) -> None:
    """A reader must know which recordings were compared."""
    options = ("--causal", "patching", "--pairs", "minimal", "--where", "name=clip1.wav")
    assert report("causal", "--models", "LoRA", *options).code == 0
    words = Report.of(tmp_path / "report.html").words
    assert "The clips (1) clip1.wav, happiness, S1" in words and "Paired with clip3.wav (sadness)" in words


def test_what_has_nothing_to_show_is_said(report: Callable[..., Answer], tmp_path: Path) -> None:
    assert report("contributions,spectra,ranks", "--models", "Frozen") == Answer(0, "", "")
    words = Report.of(tmp_path / "report.html").words
    assert "with nothing to show of these models: spectra, ranks" in words
    assert "With one model there is nothing to compare" in words and "differences are to" not in words
    (tmp_path / "report.html").unlink()
    answer = report("spectra,ranks", "--models", "Frozen")
    assert answer.code == 2 and "nothing to report: spectra, ranks" in answer.err
    assert not (tmp_path / "report.html").exists()


def test_one_clip_has_no_charts_of_nothing(report: Callable[..., Answer], tmp_path: Path) -> None:
    """What takes several clips says so in words."""
    assert report("ranks", "--models", "LoRA", "--limit", 1).code == 0
    found = Report.of(tmp_path / "report.html")
    assert not found.charts and "there is no chart" in found.words


@pytest.mark.parametrize(
    ("name", "why"), [("folder.html", "is a directory"), ("x" * 300 + ".html", "can't be written")]
)
def test_what_can_not_become_a_file_is_refused_before_anything_is_computed(
    report: Callable[..., Answer], tmp_path: Path, name: str, why: str
) -> None:
    (tmp_path / "folder.html").mkdir()
    answer = report("contributions", "--models", "LoRA", out=name)
    assert answer.code == 2 and why in answer.err and answer.err.count("\n") == 1
    assert not list((tmp_path / "cache").rglob("*.safetensors")) and not list(tmp_path.glob(".*"))


def test_a_link_is_written_through(report: Callable[..., Answer], tmp_path: Path) -> None:
    (tmp_path / "real.html").write_text("old")
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    assert report("contributions", "--models", "LoRA", "--limit", 1, out="link.html").code == 0
    assert (tmp_path / "link.html").is_symlink() and "LoRAscope report" in (tmp_path / "real.html").read_text()


def test_the_demo_is_called_synthetic(report: Callable[..., Answer], tmp_path: Path) -> None:
    assert report("contributions", "--models", "LoRA", "--limit", 1, clips="demo").code == 0
    assert "Synthetic demo" in Report.of(tmp_path / "report.html").words


@pytest.mark.parametrize(
    ("words", "out", "why"),
    [
        (("predict",), "report.html", "predict has no section in a report"),
        (("lens",), "report.txt", "give the name of an HTML file"),
        (("nothing",), "report.html", "'nothing' is no analysis"),
    ],
)
def test_what_makes_no_report_is_refused(
    report: Callable[..., Answer], tmp_path: Path, words: tuple[str, ...], out: str, why: str
) -> None:
    (tmp_path / out).write_text("what was there")
    answer = report(*words, out=out)
    assert answer.code == 2 and why in answer.err and answer.err.count("\n") == 1
    assert (tmp_path / out).read_text() == "what was there"
