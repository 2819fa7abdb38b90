"""Texts of files: what can't be tagged, and where tokens stand."""

import pytest
import spacy
from spacy.language import Language

from spacy_lstm_tagger.cli.texts import Text, flaw_of


@pytest.fixture
def nlp() -> Language:
    return spacy.blank("en")


@pytest.mark.parametrize(
    "texts, flaw",
    [
        (["plain", "grün 🙂"], ""),
        (["plain", "half \ud83d"], "it has half a character: 0xd83d"),
        (["\udcff"], "it is not UTF-8: it has the byte 0xff"),
    ],
)
def test_half_characters_and_other_encodings_are_found(texts: list[str], flaw: str) -> None:
    assert flaw_of(*texts) == flaw


def test_a_text_with_an_error_has_no_doc(nlp: Language) -> None:
    with pytest.raises(ValueError, match="it is broken"):
        Text("The dog", error="it is broken").to_doc(nlp)


def test_given_words_are_the_tokens(nlp: Language) -> None:
    text = Text("don't", words=["do", "n't"], spaces=[False, False], places=[(0, 2), (2, 5)])
    doc = text.to_doc(nlp)
    assert [token.text for token in doc] == ["do", "n't"]
    assert text.places_in(doc) == [(0, 2), (2, 5)]


def test_other_words_than_the_given_ones_are_refused(nlp: Language) -> None:
    text = Text("a dog", words=["a", "dog"], spaces=[True, False], places=[(0, 1), (2, 5)])
    with pytest.raises(ValueError, match="dog"):
        text.places_in(nlp.make_doc("a cat"))


def test_tokens_of_the_tokenizer_have_places(nlp: Language) -> None:
    text = Text("The dog, asleep")
    places = text.places_in(text.to_doc(nlp))
    assert [text.text[begin:end] for begin, end in places] == ["The", "dog", ",", "asleep"]
