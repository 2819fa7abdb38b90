"""Tests of `growth.py`: labels that a component gets, and their scheme."""

from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from spacy_lstm_tagger import LSTMTagger
from spacy_lstm_tagger.pipeline.growth import add_labels, labels_of_examples


def tagger_of(nlp: Language) -> LSTMTagger:
    tagger = nlp.get_pipe("lstm_tagger")
    assert isinstance(tagger, LSTMTagger)
    return tagger


@pytest.fixture
def empty(nlp: Language, tiny: dict[str, Any]) -> LSTMTagger:
    """A component without labels."""
    nlp.add_pipe("lstm_tagger", config={"model": tiny})
    return tagger_of(nlp)


def example(nlp: Language, tags: list[str]) -> Example:
    words = [str(i) for i in range(len(tags))]
    return Example(Doc(nlp.vocab, words=words), Doc(nlp.vocab, words=words, tags=tags))


@pytest.mark.parametrize(
    ("tags", "labels"),
    [
        (["B", "A", "B"], ["A", "B"]),
        (["!B", "A"], ["A", "B"]),
        (["O", "I-x", "I-x"], ["B-x", "I-x", "O"]),
        (["O", "I-x", "O"], ["B-x", "O"]),
        (["B-x", "O", "U-y"], ["O", "U-x", "U-y"]),
        (["I-x", "O", "NN"], ["I-x", "NN", "O"]),
    ],
)
def test_labels_of_examples_are_those_after_repair(
    nlp: Language, empty: LSTMTagger, tags: list[str], labels: list[str]
) -> None:
    assert labels_of_examples(empty, [example(nlp, tags)]) == labels


def test_labels_are_added_once_and_with_their_partners(empty: LSTMTagger) -> None:
    assert add_labels(empty, ["O", "I-x", "O"]) == 3
    assert empty.labels == ("O", "I-x", "B-x")
    assert add_labels(empty, ["O", "B-x"]) == 0
    assert "B-x" in empty.vocab.strings


def test_the_scheme_is_open_until_the_component_is_initialized(
    nlp: Language, empty: LSTMTagger
) -> None:
    add_labels(empty, ["O", "B-x"])
    assert empty.scheme == "bio"
    add_labels(empty, ["L-x"])
    assert empty.scheme == "bilou"
    add_labels(empty, ["NN"])
    assert empty.scheme is None
    nlp.initialize(lambda: [example(nlp, ["NN", "O"])])
    add_labels(empty, ["VB"])


def test_what_is_initialized_keeps_its_scheme(nlp: Language, empty: LSTMTagger) -> None:
    nlp.initialize(lambda: [example(nlp, ["O", "B-x"])])
    before = empty.labels
    with pytest.raises(ValueError, match="none of it: NN"):
        add_labels(empty, ["NN"])
    assert empty.labels == before
    nlp(Doc(nlp.vocab, words=["a"]))


def test_a_number_of_labels_in_the_config_does_not_hide_the_scheme(tiny: dict[str, Any]) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "nO": 2}})
    nlp.initialize(lambda: [example(nlp, ["O", "B-x"])])
    assert tagger_of(nlp).scheme == "bio"
