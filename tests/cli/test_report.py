"""Tests of `report.py`: the page is complete and safe, and shows its figures.

What it looks like is tested in a browser, by `test_report_browser.py`.
"""

import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path, PureWindowsPath

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from spacy_lstm_tagger.cli import figures
from spacy_lstm_tagger.cli.report import (
    curve_axis,
    percent,
    read_log,
    render_page,
    short_name,
    write_report,
)

EVIL = "<script>alert(1)</script>"
PRINTED = """Using CPU
E    #       LOSS LSTM_...  {}  SCORE
---  ------  -------------  -------  ------
  0       0         112.80    14.03    0.24
  1     300        9730.03    91.41    0.95
✔ Saved pipeline to output directory
"""
LOGGED = """{"epoch":0,"step":0,"losses":{},"scores":{"tag_acc":14.03},"score":0.24}
{"epoch":1,"step":300,"losses":{},"scores":{"tag_acc":91.41},"score":0.95}
"""


class Page(HTMLParser):
    """What a page has: its tags, ids, links and text."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.addresses: list[str] = []
        self.pieces: list[str] = []
        self.feed(html)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.pieces).split())

    def handle_starttag(self, tag, attrs) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            elif name == "href" and value.startswith("#"):
                self.links.append(value[1:])
            elif name in ("src", "href", "srcset", "action", "data"):
                self.addresses.append(value)

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf8"))


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus whose words and labels are HTML."""
    path = tmp_path_factory.mktemp("evil") / f"{EVIL.replace('/', '')}.spacy"
    words, tags = ["The", EVIL, "ate", "&lt;", '"x'], ["DET", EVIL, "V", "'\"><b>", "NN"]
    DocBin(docs=[Doc(Vocab(), words=words, tags=tags)]).to_disk(path)
    return path


@pytest.fixture(scope="module")
def report(run: Callable, pipeline: str, corpus: Path, tmp_path_factory) -> tuple[str, dict]:
    """The page and the figures of two pipelines."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "log").write_text(LOGGED)
    words = ["report", pipeline, pipeline, corpus, "-o", folder / "new" / "r.html"]
    result = run(*words, "--train", corpus, "--log", folder / "log")
    assert result.exit_code == 0, result.output
    figures = json.loads((folder / "new" / "r.json").read_text())
    return (folder / "new" / "r.html").read_text(encoding="utf8"), figures


def test_the_figures_are_those_of_the_corpus(report: tuple[str, dict]) -> None:
    _, found = report
    first, second = found["pipelines"]
    assert first == second
    assert (first["overall"]["tokens"], first["overall"]["right"]) == (14, 13)
    assert [(c["gold"], c["predicted"]) for c in first["confusions"]] == [("DET", "NN")]
    assert found["comparison"]["p"] == 1
    assert [point["step"] for point in found["curve"]["points"]] == [0, 300]
    assert found["corpus"]["docs"] == found["train"]["docs"] == 3
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["written"])


def test_headline_figures_come_first(pipeline: str, corpus: Path, tmp_path: Path) -> None:
    write_report([pipeline], corpus, tmp_path / "r.html", train=corpus)
    text = read(tmp_path / "r.html").text
    headline = text[: text.index("What to do first")]
    for figure in ("92.9%", "2 of 3", "Errors 1", "3 documents, 3 sentences, 14 tokens"):
        assert figure in headline
    assert f"spacy {spacy.__version__}" in headline


@pytest.mark.parametrize("n_pipelines", [1, 2])
def test_the_headline_of_spans_has_their_f1(report: tuple[str, dict], n_pipelines: int) -> None:
    _, found = report
    overall = {"tokens": 8, "missed": 3, "precision": 0.5, "recall": 0.625, "f": 0.5556}
    errors = dict.fromkeys(("boundary", "type", "both", "missed", "extra"), 1)
    spans = {"overall": overall, "types": [], "errors": errors}
    first, second = found["pipelines"]
    pipelines = [{**first, "spans": spans}, second][:n_pipelines]
    text = Page(render_page({**found, "pipelines": pipelines})).text
    assert "F1 of spans 55.6%" in text[: text.index("What to do first")]


def test_the_wrong_gold_label_is_found(
    pipeline: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "SURE", 0.5)  # so short a training makes no tagger sure
    found = write_report([pipeline], corpus, tmp_path / "r.html", train=corpus)
    (suspect,) = found["pipelines"][0]["suspects"]["examples"]
    assert (suspect["word"], suspect["gold"], suspect["predicted"]) == ("dog", "DET", "NN")
    assert suspect["training"] == [("NN", 1), ("DET", 1)]
    assert "in training: NN 1, DET 1" in read(tmp_path / "r.html").text.replace(" ,", ",")


def test_the_page_has_all_parts(report: tuple[str, dict]) -> None:
    html, _ = report
    page = Page(html)
    assert [page.tags[tag] for tag in ("h1", "nav", "main", "header", "footer")] == [1] * 5
    assert page.tags["caption"] == page.tags["table"]
    assert html.count('<th scope="') == page.tags["th"]
    assert len(set(page.ids)) == len(page.ids)
    assert set(page.links) <= set(page.ids)


def test_the_page_asks_for_nothing_and_runs_nothing(report: tuple[str, dict]) -> None:
    html, _ = report
    page = Page(html)
    assert page.addresses == ["data:,"]
    assert not page.tags["script"]
    assert "url(" not in html and "@import" not in html
    assert "default-src 'none'" in html
    assert not re.search(r"\son\w+=", html)


def test_no_path_of_the_machine_is_in_the_report(
    report: tuple[str, dict], pipeline: str, corpus: Path
) -> None:
    html, found = report
    for path in (Path(pipeline), corpus):
        assert "/".join(path.parts[-2:]) in html
        assert str(path.parent) not in html + json.dumps(found)
    assert str(Path.home()) not in html


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("model", "model"),
        ("training/model-best", "training/model-best"),
        ("../../a/b/c.spacy", "b/c.spacy"),
        ("/data/a/b/c.spacy", "b/c.spacy"),
        ("/c.spacy", "c.spacy"),
        ("HOME/c.spacy", "c.spacy"),  # the name of a user's folder is mostly that of the user
        ("HOME/b/c.spacy", "b/c.spacy"),
    ],
)
def test_paths_are_shortened(path: str, name: str) -> None:
    assert short_name(Path(path.replace("HOME", str(Path.home())))) == name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (r"C:\Users\ann\b\c.spacy", "b/c.spacy"),
        (r"C:\c.spacy", "c.spacy"),
        (r"..\b\c.spacy", "b/c.spacy"),
        (r"\\server\share\b\c.spacy", "b/c.spacy"),
    ],
)
def test_paths_of_windows_are_shortened(path: str, name: str) -> None:
    assert short_name(PureWindowsPath(path)) == name


def test_a_pipeline_is_called_by_its_name(pipeline: str, corpus: Path, tmp_path: Path) -> None:
    nlp = spacy.load(pipeline)
    nlp.meta["name"], nlp.meta["version"] = "news_lg", "1.2.3"
    nlp.to_disk(tmp_path / "model")
    found = write_report([str(tmp_path / "model")], corpus, tmp_path / "r.html")
    assert found["pipelines"][0]["name"] == "xx_news_lg 1.2.3"


def test_html_in_a_corpus_is_text(pipeline: str, evil: Path, tmp_path: Path) -> None:
    write_report([pipeline], evil, tmp_path / "r.html", train=evil)
    html = (tmp_path / "r.html").read_text(encoding="utf8")
    page = Page(html)
    assert not page.tags["script"] and EVIL in page.text
    assert "'\"><b>" in page.text


def test_the_page_says_which_tokens_were_scored(
    pipeline: str, corpus: Path, tmp_path: Path
) -> None:
    own, others = tmp_path / "own.html", tmp_path / "others.html"
    write_report([pipeline], corpus, own)
    write_report([pipeline], corpus, others, own_tokens=True)
    assert "Scores use the corpus's tokenization" in read(own).text
    assert "Scores use the pipeline's tokenization" in read(others).text


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0.0%"), (0.0001, "<0.1%"), (0.12345, "12.3%"), (0.99999, ">99.9%"), (1, "100.0%")],
)
def test_shares_are_rounded_but_never_to_all_or_nothing(share: float, shown: str) -> None:
    assert percent(share) == shown


@pytest.mark.parametrize("tag", ["NN", "V"])  # right, and wrong
def test_one_token_has_a_report(pipeline: str, tmp_path: Path, tag: str) -> None:
    DocBin(docs=[Doc(Vocab(), words=["dog"], tags=[tag])]).to_disk(tmp_path / "one.spacy")
    found = write_report([pipeline], tmp_path / "one.spacy", tmp_path / "r.html")
    text = read(tmp_path / "r.html").text
    assert found["pipelines"][0]["overall"]["interval"] is None
    assert "1 document, 1 sentence, 1 token" in text and "too few sentences" in text
    assert ("the one label is right" in text) == (tag == "NN")


def test_whitespace_can_be_seen(pipeline: str, tmp_path: Path) -> None:
    words, tags = ["The", "\n\n", "dog"], ["DET", "V", "NN"]
    DocBin(docs=[Doc(Vocab(), words=words, tags=tags)]).to_disk(tmp_path / "dev.spacy")
    write_report([pipeline], tmp_path / "dev.spacy", tmp_path / "r.html")
    assert "⏎⏎" in read(tmp_path / "r.html").text


def test_a_page_is_overwritten_by_force_alone(
    run: Callable, pipeline: str, corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "r.json").write_text("kept")
    words = ["report", pipeline, corpus, "-o", tmp_path / "r.html"]
    assert run(*words).exit_code == 1
    assert [path.read_text() for path in tmp_path.iterdir()] == ["kept"]
    assert run(*words, "--force").exit_code == 0
    assert (tmp_path / "r.html").exists()


def test_figures_must_not_overwrite_the_page(pipeline: str, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give the page another suffix"):
        write_report([pipeline], corpus, tmp_path / "r.json")


def test_conllu_is_read(pipeline: str, tmp_path: Path) -> None:
    line = "{}\t{}\t_\t_\t{}\t_\t_\t_\t_\t_\n"
    text = line.format(1, "The", "DET") + line.format(2, "dog", "NN") + "\n"
    (tmp_path / "dev.conllu").write_text(text)
    found = write_report([pipeline], tmp_path / "dev.conllu", tmp_path / "r.html")
    assert found["pipelines"][0]["overall"]["right"] == 2


def test_a_second_pipeline_may_have_another_component(
    pipeline: str, corpus: Path, tmp_path: Path
) -> None:
    ruler = spacy.blank("xx")
    ruler.add_pipe("attribute_ruler").add(patterns=[[{}]], attrs={"TAG": "NN"})
    ruler.to_disk(tmp_path / "ruler")
    pipelines = [pipeline, str(tmp_path / "ruler")]
    found = write_report(pipelines, corpus, tmp_path / "r.html")
    second = found["pipelines"][1]
    assert second["calibration"] is None
    assert second["overall"]["right"] == 5
    page = read(tmp_path / "r.html")
    assert "A makes 8 fewer errors" in page.text
    assert "confidence-1" in page.ids and "confidence-2" not in page.ids


@pytest.mark.parametrize("text", [PRINTED.format("TAG_ACC"), PRINTED.format("TAG..."), LOGGED])
def test_steps_and_accuracies_are_read(text: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(text, encoding="utf8")
    log = read_log(path, "tag")
    assert log["measure"] == "tag_acc"
    assert [point["step"] for point in log["points"]] == [0, 300]
    assert [point["score"] for point in log["points"]] == pytest.approx([0.1403, 0.9141])


@pytest.mark.parametrize("text", [PRINTED.format("TAG_ACC"), LOGGED])
def test_logs_without_the_accuracy_have_the_score(text: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(text, encoding="utf8")
    log = read_log(path, "morph")
    assert log["measure"] == "score"
    assert [point["score"] for point in log["points"]] == [0.24, 0.95]


@pytest.mark.parametrize("text", ["", "nothing\n", '{"step": 1}\n{broken\n[1]\n{"scores": 1}\n'])
def test_a_file_without_scores_is_no_log(text: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(text)
    with pytest.raises(ValueError, match="isn't a log of spacy train"):
        read_log(path, "tag")


@pytest.mark.parametrize(
    ("scores", "low", "high"),
    [
        ([0.18, 0.88, 0.907, 0.91, 0.914, 0.918], 0.88, 0.92),  # the first one would flatten all
        ([0.5, 0.6, 0.7], 0.5, 0.7),
        ([0.95], 0.949, 0.95),
        ([1.0, 1.0], 0.999, 1.0),
        ([0.0, 0.0], 0.0, 0.001),
    ],
)
def test_the_axis_of_a_curve_fits_its_scores(scores: list, low: float, high: float) -> None:
    axis = curve_axis([{"step": i, "score": score} for i, score in enumerate(scores)])
    assert (axis["low"], axis["high"]) == (low, high)
    assert 2 <= len(axis["ticks"]) <= 6
    assert axis["low"] <= max(scores) <= axis["high"]
