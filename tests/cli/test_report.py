"""Tests of `report.py` and `page.py`: the page is whole, safe and the same as its figures."""

import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from spacy_lstm_tagger.cli import figures
from spacy_lstm_tagger.cli.report import write_report

EVIL = "<script>alert(1)</script>"
LOG = '{"step":0,"score":0.1}\n{"step":9,"score":0.9}\n'


class Page(HTMLParser):
    """What a page has: its tags, ids, links, and what each table lacks."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.addresses: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs) -> None:
        self.tags[tag] += 1
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            elif name == "href" and value.startswith("#"):
                self.links.append(value[1:])
            elif name in ("src", "href", "srcset", "action", "data"):
                self.addresses.append(value)


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
    (folder / "log").write_text(LOG)
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
    assert [point["step"] for point in found["curve"]] == [0, 9]


def test_the_wrong_gold_label_is_found(
    pipeline: str, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "SURE", 0.5)  # so short a training makes no tagger sure
    found = write_report([pipeline], corpus, tmp_path / "r.html", train=corpus)
    (suspect,) = found["pipelines"][0]["suspects"]
    assert (suspect["word"], suspect["gold"], suspect["predicted"]) == ("dog", "DET", "NN")
    assert suspect["training"] == [["NN", 1], ["DET", 1]]
    assert "in training: NN 1, DET 1" in (tmp_path / "r.html").read_text(encoding="utf8")


def test_the_page_has_all_parts(report: tuple[str, dict]) -> None:
    html, _ = report
    page = Page(html)
    assert [page.tags[tag] for tag in ("h1", "nav", "main", "header", "footer")] == [1] * 5
    assert page.tags["caption"] == page.tags["table"]
    assert html.count('<th scope="') == page.tags["th"]
    assert html.count('role="img"') == page.tags["svg"] == 5
    assert len(set(page.ids)) == len(page.ids)
    assert set(page.links) <= set(page.ids)
    assert "92.86%" in html


def test_the_page_asks_for_nothing_and_runs_nothing(report: tuple[str, dict]) -> None:
    html, _ = report
    page = Page(html)
    assert page.addresses == ["data:,"]
    assert not page.tags["script"]
    assert "url(" not in html and "@import" not in html
    assert "default-src 'none'" in html
    assert not re.search(r"\son\w+=", html)


def test_html_in_a_corpus_is_text(pipeline: str, evil: Path, tmp_path: Path) -> None:
    write_report([pipeline], evil, tmp_path / "r.html", train=evil)
    html = (tmp_path / "r.html").read_text(encoding="utf8")
    page = Page(html)
    assert not page.tags["script"] and not page.tags["b"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_the_page_says_which_tokens_were_scored(
    pipeline: str, corpus: Path, tmp_path: Path
) -> None:
    own, others = tmp_path / "own.html", tmp_path / "others.html"
    write_report([pipeline], corpus, own)
    write_report([pipeline], corpus, others, own_tokens=True)
    assert "Scored are the corpus's own tokens" in own.read_text(encoding="utf8")
    assert "that the pipeline's tokenizer makes" in others.read_text(encoding="utf8")


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
    with pytest.raises(ValueError, match="another name than its figures"):
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
    assert "suspects-2" not in (tmp_path / "r.html").read_text(encoding="utf8")
