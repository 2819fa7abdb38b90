"""Tests of `rendering.py`: words, labels and probabilities as HTML."""

import re
import sys
from types import ModuleType
from typing import Any

import numpy
import pytest
import spacy
from spacy.tokens import Doc, Token
from spacy.vocab import Vocab

from spacy_lstm_tagger import register_extensions, render
from spacy_lstm_tagger.pipeline.probabilities import store

LABELS = ("A", "B", "C")
PROBABILITIES = [[0.5, 0.375, 0.125], [0.0, 0.0625, 0.9375], [0.25, 0.25, 0.5]]


@pytest.fixture
def doc() -> Doc:
    register_extensions("tag")
    return Doc(Vocab(), words=["x", "y", "z"], tags=["A", "C", ""])


@pytest.fixture
def unsure(doc: Doc) -> Doc:
    """A Doc with probabilities: its first token is unsure, its second is sure."""
    store(doc, "tag", "lstm_tagger", LABELS, numpy.asarray(PROBABILITIES, dtype="float32"))
    return doc


def text_of(doc: Doc, **settings: Any) -> list[str]:
    """Return the words that readers see."""
    html = render(doc, jupyter=False, **settings)
    return re.sub("<style>.*?</style>|<[^>]+>", "", html, flags=re.DOTALL).split()


def test_words_and_labels_are_shown(doc: Doc) -> None:
    assert text_of(doc) == ["x", "A", "y", "C", "z"]


@pytest.mark.parametrize(
    ("k", "shown"), [(1, "A 50%"), (2, "A 50% B 38%"), (9, "A 50% B 38% C 12%")]
)
def test_unsure_tokens_show_their_best_labels(unsure: Doc, k: int, shown: str) -> None:
    assert text_of(unsure, k=k) == ["x", *shown.split(), "y", "C", "z"]


def test_a_label_that_is_not_the_best_comes_first(unsure: Doc) -> None:
    unsure[0].tag_ = "B"
    assert text_of(unsure, k=2) == ["x", "B", "38%", "A", "50%", "y", "C", "z"]


def test_whitespace_has_no_label(doc: Doc) -> None:
    doc = Doc(doc.vocab, words=["x", " ", "y", "\n\n", "z"], tags=["A", "IN", "A", "IN", "A"])
    assert text_of(doc) == ["x", "A", "y", "A", "z", "A"]


@pytest.mark.parametrize(
    "words",
    [
        ["\U0001f469", "\u200d", "\U0001f467"],
        ["\U0001f469\u200d", "\U0001f467"],
        ["\U0001f1eb", "\U0001f1f7"],
        ["\U0001f44d", "\U0001f3fd"],
        ["e", "\u0301"],
    ],
)
def test_what_looks_like_one_character_is_one_thing(doc: Doc, words: list[str]) -> None:
    spaces = [True, *[False] * (len(words) - 1), True, True]
    tags = ["C", *["A"] * len(words), "C"]
    joined = Doc(doc.vocab, words=["x", *words, "y"], spaces=spaces, tags=tags)
    assert text_of(joined) == ["x", "C", "".join(words), "A", "y", "C"]


def test_invisible_characters_are_shown_by_their_numbers(doc: Doc) -> None:
    doc = Doc(doc.vocab, words=["x", "\u200b"], tags=["A", "B"])
    assert text_of(doc) == ["x", "A", "U+200B", "B"]


@pytest.mark.parametrize(("attribute", "label"), [("pos", "NOUN"), ("morph", "Number=Sing")])
def test_other_attributes(attribute: str, label: str) -> None:
    key: Any = {"pos": "pos", "morph": "morphs"}[attribute]
    doc = Doc(Vocab(), words=["x"], **{key: [label]})
    assert text_of(doc, attribute=attribute) == ["x", label]


def test_empty_morphology_is_shown_if_it_is_unsure() -> None:
    register_extensions("morph")
    doc = Doc(Vocab(), words=["x"], morphs=["_"])
    assert text_of(doc, attribute="morph") == ["x"]
    probabilities = numpy.asarray([[0.75, 0.25]], dtype="float32")
    store(doc, "morph", "lstm_tagger", ("_", "Number=Sing"), probabilities)
    assert text_of(doc, attribute="morph") == ["x", "_", "75%", "Number=Sing", "25%"]


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


def test_labels_that_mark_spans_are_shown_as_spans() -> None:
    words = ["to", "New", "\n", "York", "x", "now"]
    tags = ["O", "B-city", "_SP", "I-city", "O", "B-when"]
    doc = Doc(spacy.blank("xx").vocab, words=words, tags=tags)
    assert text_of(doc) == ["to", "New", "York", "city", "x", "now", "when"]
    html = render(doc, jupyter=False)
    assert html is not None and html.count('class="span"') == html.count('class="type"') == 2
    assert html.count("<span") == html.count("</span")


def test_unsure_tokens_of_spans_show_their_best_labels() -> None:
    register_extensions("tag")
    doc = Doc(Vocab(), words=["New", "York"], tags=["B-city", "I-city"])
    probabilities = numpy.asarray([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]], dtype="float32")
    store(doc, "tag", "lstm_tagger", ("B-city", "I-city", "O"), probabilities)
    assert text_of(doc, k=2) == ["New", "B-city", "50%", "I-city", "25%", "York", "city"]


def test_labels_in_an_extension_are_shown() -> None:
    Token.set_extension("shown_label", default=None, force=True)
    doc = Doc(Vocab(), words=["x", "y"])
    doc[1]._.shown_label = "EN"
    assert text_of(doc, attribute="shown_label") == ["x", "y", "EN"]
    page = render(doc, attribute="shown_label", page=True, jupyter=False)
    assert page is not None and "<h1>Labels</h1>" in page
    Token.remove_extension("shown_label")


def test_what_cannot_be_shown_is_refused(doc: Doc) -> None:
    with pytest.raises(ValueError, match="this Doc has no pos to show"):
        render(doc, attribute="pos")
    with pytest.raises(ValueError, match="no slot to show: tag it with an lstm_label_tagger"):
        render(doc, attribute="slot")
    with pytest.raises(ValueError, match="k = 0 must be at least 1"):
        render(doc, k=0)
