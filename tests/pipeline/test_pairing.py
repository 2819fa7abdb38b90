"""Tests of `pairing.py`: each text gets its own result, whatever the pipeline does."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from spacy_lstm_tagger.pipeline.pairing import (
    _cuts,
    check_words,
    describe,
    find_words,
    make_doc,
    run_pipeline,
    token_places,
)

TEXTS = ["one", "two bad", "three", "four", "five bad", "six"]


@Language.component("pairing_raises")
def raises(doc: Doc) -> Doc:
    if "bad" in doc.text:
        raise KeyError("bad")
    return doc


@Language.component("pairing_makes_new_docs")
def makes_new_docs(doc: Doc) -> Doc:
    return Doc(doc.vocab, words=[token.text.upper() for token in doc])


class Stream:
    """A component that does something with the whole stream."""

    def __init__(self, change: Callable[[list[Doc]], list[Doc]]):
        self.change = change

    def __call__(self, doc: Doc) -> Doc:
        return doc

    def pipe(self, docs: Iterator[Doc], batch_size: int = 1) -> Iterator[Doc]:
        yield from self.change(list(docs))


CHANGES: dict[str, Callable[[list[Doc]], list[Doc]]] = {
    "drops": lambda docs: [doc for doc in docs if "bad" not in doc.text],
    "turns round": lambda docs: docs[::-1],
    "doubles": lambda docs: [doc for doc in docs for _ in range(1 + ("bad" in doc.text))],
    "copies": lambda docs: [doc.copy() for doc in docs],
}
Language.factory("pairing_stream", func=lambda nlp, name, change: Stream(CHANGES[change]))


def words(nlp: Language, texts: list[str]) -> list[str]:
    """Return the text of each result, or its error."""
    results = run_pipeline(nlp, texts, nlp.make_doc)
    return [r.text if isinstance(r, Doc) else describe(r) for r in results]


@pytest.mark.parametrize("swallow", [False, True])
def test_a_text_that_raises_costs_no_other(nlp: Language, swallow: bool) -> None:
    nlp.add_pipe("pairing_raises")
    if swallow:
        nlp.set_error_handler(lambda *args: None)
    found = words(nlp, TEXTS)
    assert found == [t if "bad" not in t else "KeyError: 'bad'" for t in TEXTS]


def test_a_component_that_fails_quietly_is_named(nlp: Language, train: Callable) -> None:
    train(nlp)
    tagger = nlp.get_pipe("lstm_tagger")
    predict = tagger.predict

    def fail(docs: list[Doc]) -> object:
        if any("bad" in doc.text for doc in docs):
            raise RuntimeError
        return predict(docs)

    tagger.predict = fail
    nlp.set_error_handler(lambda *args: None)
    found = words(nlp, TEXTS)
    for text, result in zip(TEXTS, found, strict=True):
        assert result == text or ("bad" in text and "component 'lstm_tagger' failed" in result)


@pytest.mark.parametrize("change", CHANGES)
def test_streams_that_are_not_the_texts(nlp: Language, change: str) -> None:
    nlp.add_pipe("pairing_stream", config={"change": change})
    found = words(nlp, TEXTS)
    for text, result in zip(TEXTS, found, strict=True):
        if change == "drops" and "bad" in text:
            assert "component 'pairing_stream' failed" in result
        else:
            assert result == text


def test_new_docs_belong_to_their_texts(nlp: Language) -> None:
    nlp.add_pipe("pairing_makes_new_docs")
    assert words(nlp, TEXTS) == [f"{text.upper()} " for text in TEXTS]


def test_nothing_is_nothing(nlp: Language) -> None:
    nlp.add_pipe("pairing_stream", config={"change": "drops"})
    assert run_pipeline(nlp, [], nlp.make_doc) == []


def test_disabled_components_do_not_run(nlp: Language) -> None:
    nlp.add_pipe("pairing_raises")
    (doc,) = run_pipeline(nlp, ["bad"], nlp.make_doc, disable=["pairing_raises"])
    assert isinstance(doc, Doc)


@pytest.mark.parametrize("text", ["$" * 10_000, "a" + "$" * 5000 + "b", "(中'" * 1500, "a" * 5000])
@pytest.mark.parametrize("lang", ["en", "xx"])
def test_long_runs_are_tokenized_in_pieces(lang: str, text: str) -> None:
    nlp = spacy.blank(lang)
    assert max(end - start for start, end in pairwise([0, *_cuts(text), len(text)])) <= 1000
    doc = make_doc(nlp, f"One {text}  two")
    assert doc.text == f"One {text}  two"
    assert doc[-1].text == "two" and doc[-2].text == " "


def test_text_without_long_runs_has_the_tokens_of_spacy() -> None:
    nlp = spacy.blank("en")
    text = f"Don't  go to http://{'abc/' * 200}?q=1 -- {'-' * 99} ok.\n"
    doc = make_doc(nlp, text)
    assert [(t.text, t.norm_) for t in doc] == [(t.text, t.norm_) for t in nlp.make_doc(text)]


def test_other_tokenizers_get_the_whole_text(nlp: Language) -> None:
    nlp.tokenizer = lambda text: Doc(nlp.vocab, words=[text])
    assert len(make_doc(nlp, "中" * 5000)) == 1


def test_the_limit_holds_for_parsers_only(nlp: Language) -> None:
    nlp.max_length = 10
    assert len(make_doc(nlp, "a " * 10)) == 10
    nlp.add_pipe("ner")
    for text in ("a " * 10, "a" * 2000):
        with pytest.raises(ValueError, match="E088"):
            make_doc(nlp, text)


@pytest.mark.parametrize(
    ("words", "text", "places"),
    [
        (["a", "b"], "a  b\n", [(0, 1), (3, 4)]),
        (["New York", "!"], " New York!", [(1, 9), (9, 10)]),
        (["a", " ", "b"], "a  b", [(0, 1), (1, 2), (3, 4)]),
        ([], " ", []),
        (["a"], "a b", None),
        (["a", "c"], "a b c", None),
        (["ab"], "a b", None),
    ],
)
def test_words_are_found_if_only_spaces_are_left(
    words: list[str], text: str, places: list[tuple[int, int]] | None
) -> None:
    assert find_words(words, text) == places


def test_places_are_those_of_the_text(nlp: Language) -> None:
    text = " The  dog"
    assert token_places(Doc(nlp.vocab, words=["The", "dog"]), text) == [(1, 4), (6, 9)]
    assert token_places(nlp.make_doc(text), text) == [(0, 1), (1, 4), (5, 6), (6, 9)]
    with pytest.raises(ValueError, match="changed the text ' The  dog' to 'The '"):
        token_places(Doc(nlp.vocab, words=["The"]), text)


def test_other_tokens_are_named(nlp: Language) -> None:
    doc = Doc(nlp.vocab, words=["a", "b", "c"])
    check_words(doc, ["a", "b", "c"])
    with pytest.raises(ValueError, match="from token 2 on they are 'b', 'c' instead of 'bc'"):
        check_words(doc, ["a", "bc"])
    with pytest.raises(ValueError, match="from token 4 on they are none instead of 'd'"):
        check_words(doc, ["a", "b", "c", "d"])
