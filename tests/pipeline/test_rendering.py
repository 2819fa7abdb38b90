"""Tests of `rendering.py`: labels, colours and probabilities as HTML."""

import re
import sys
from types import ModuleType
from typing import Any

import numpy
import pytest
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_lstm_tagger import register_extensions, render
from spacy_lstm_tagger.pipeline.probabilities import store

LABELS = ("A", "B", "C")
PROBABILITIES = numpy.asarray([[0.5, 0.375, 0.125], [0.0, 0.25, 0.75]], dtype="float32")


@pytest.fixture
def doc() -> Doc:
    register_extensions("tag")
    return Doc(Vocab(), words=["x", "y", "z"], tags=["A", "C", ""])


@pytest.fixture
def sure(doc: Doc) -> Doc:
    store(doc, "tag", "lstm_tagger", LABELS, numpy.concatenate([PROBABILITIES, PROBABILITIES[:1]]))
    return doc


def test_words_and_labels_are_shown(doc: Doc) -> None:
    html = render(doc, jupyter=False)
    text = re.sub("<style>.*?</style>|<[^>]+>", "", html, flags=re.DOTALL)
    assert text.split() == ["x", "A", "y", "C", "z"]
    assert "tabindex" not in html


def test_confidence_is_saturation(sure: Doc) -> None:
    assert re.findall(r"--sure: (\d+)%", render(sure, jupyter=False)) == ["50", "75"]


@pytest.mark.parametrize(("k", "n"), [(1, 1), (2, 2), (9, 3)])
def test_k_best_labels_are_reached_by_keyboard(sure: Doc, k: int, n: int) -> None:
    html = render(sure, k=k, jupyter=False)
    assert html.count('tabindex="0"') == 2
    (best, _) = re.findall('<ul class="best">(.*?)</ul>', html)
    assert re.findall("<li>(.*?)</li>", best) == ["A 0.50", "B 0.38", "C 0.12"][:n]


def test_a_label_has_the_same_colour_everywhere(doc: Doc) -> None:
    other = Doc(Vocab(), words=["w"], tags=["C"])
    hues = [re.findall(r"--hue: (\d+)", render(d, jupyter=False)) for d in (doc, other)]
    assert hues[0][1] == hues[1][0] != hues[0][0]


@pytest.mark.parametrize(("attribute", "label"), [("pos", "NOUN"), ("morph", "Number=Sing")])
def test_other_attributes(attribute: str, label: str) -> None:
    key: Any = {"pos": "pos", "morph": "morphs"}[attribute]
    doc = Doc(Vocab(), words=["x"], **{key: [label]})
    assert f">{label}</span>" in render(doc, attribute=attribute, jupyter=False)


def test_html_in_words_and_labels_is_text() -> None:
    doc = Doc(Vocab(), words=["<script>", "&"], tags=["<b>", "'\""])
    html = render(doc, jupyter=False)
    assert "<script>" not in html and "<b>" not in html
    assert "&lt;script&gt;" in html and "&lt;b&gt;" in html


def test_a_page_is_whole(doc: Doc) -> None:
    html = render(doc, page=True, jupyter=False)
    assert html.startswith("<!doctype html>")
    assert html.count("<main>") == html.count("<title>") == 1
    assert "http" not in html


def test_a_notebook_displays_it(doc: Doc, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    module: Any = ModuleType("IPython.display")
    module.HTML, module.display = str, shown.append
    monkeypatch.setitem(sys.modules, "IPython", ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    assert render(doc, jupyter=True) is None
    assert shown == [render(doc, jupyter=False)]


def test_what_cannot_be_shown_is_refused(doc: Doc) -> None:
    with pytest.raises(ValueError, match="this Doc has no pos to show"):
        render(doc, attribute="pos")
    with pytest.raises(ValueError, match="attribute = 'lemma' must be one of tag, pos, morph"):
        render(doc, attribute="lemma")
    with pytest.raises(ValueError, match="k = 0 must be at least 1"):
        render(doc, k=0)
