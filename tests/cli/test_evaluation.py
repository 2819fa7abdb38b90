"""Tests of `evaluation.py`: which tokens are scored, and statistics against exact solutions."""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy
import pytest
import spacy
from numpy.testing import assert_allclose
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_lstm_tagger.cli.evaluation import (
    bootstrap_interval,
    evaluate,
    known_words,
    per_sentence,
    permutation_p,
    word_counts,
)

WORDS = ["The", "dog", "can", "not", "eat", "the", "apple"]  # in the text "cannot", one token
TAGS = ["DET", "NN", "V", "RB", "V", "DET", "NN"]
SPACES = [True, True, False, True, True, True, False]


@pytest.fixture(scope="module")
def nlp(pipeline: str) -> Language:
    return spacy.load(pipeline)


@pytest.fixture
def reference() -> Doc:
    """Two sentences; the tokenizer makes one token of two of the words."""
    starts: Any = [True, False, False, False, False, True, False]
    return Doc(Vocab(), words=WORDS, spaces=SPACES, tags=TAGS, sent_starts=starts)


def test_the_tokens_of_the_corpus_are_scored(nlp: Language, reference: Doc) -> None:
    scored = evaluate(nlp, [reference], "tag")
    assert scored.words == WORDS
    assert scored.gold.tolist() == TAGS
    assert scored.sentence.tolist() == [0, 0, 0, 0, 0, 1, 1]
    assert scored.place.tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert scored.sentences[1] == ["the ", "apple"]
    assert scored.n_gold == 7
    assert scored.spacy_accuracy == pytest.approx(scored.right.mean())


def test_the_tokens_of_the_pipeline_are_scored_where_the_corpus_has_them(
    nlp: Language, reference: Doc
) -> None:
    scored = evaluate(nlp, [reference], "tag", own_tokens=True)
    assert scored.words == ["The", "dog", "eat", "the", "apple"]
    assert scored.gold.tolist() == ["DET", "NN", "V", "DET", "NN"]
    assert scored.n_gold == 7
    score = nlp.evaluate([Example(nlp.make_doc(reference.text), reference)])
    assert scored.spacy_accuracy == score["tag_acc"]


def test_tokens_without_a_gold_label_are_not_scored(nlp: Language) -> None:
    scored = evaluate(nlp, [Doc(Vocab(), words=["The", "dog"], tags=["", "NN"])], "tag")
    assert scored.words == ["dog"]
    assert scored.place.tolist() == [1]


def test_gold_labels_that_break_the_scheme_are_scored_as_the_same_spans(
    tiny: dict[str, Any],
) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("lstm_tagger", config={"model": tiny})
    words = ["New", "York", "now"]
    right = Doc(nlp.vocab, words=words, tags=["B-city", "I-city", "O"])
    nlp.initialize(lambda: [Example(Doc(nlp.vocab, words=words), right)])
    lenient = Doc(nlp.vocab, words=words, tags=["I-city", "I-city", "O"])
    scored, strict = (evaluate(nlp, [reference], "tag") for reference in (lenient, right))
    assert scored.gold.tolist() == ["B-city", "I-city", "O"]
    assert scored.spacy_accuracy == strict.spacy_accuracy == pytest.approx(scored.right.mean())


def test_confidence_is_that_of_the_label(nlp: Language, reference: Doc) -> None:
    scored = evaluate(nlp, [reference], "tag")
    doc = Doc(nlp.vocab, words=WORDS)
    (probabilities,) = nlp.get_pipe("lstm_tagger").predict_probabilities([doc])
    assert_allclose(scored.confidence, probabilities.max(axis=1), atol=1e-6)


@pytest.mark.parametrize("attribute", ["pos", "morph"])
def test_other_attributes(train: Callable, make_examples: Callable, attribute: str) -> None:
    nlp = train(spacy.blank("xx"), attribute=attribute)
    references = [example.reference for example in make_examples(nlp)]
    scored = evaluate(nlp, references, attribute)
    assert scored.right.all()
    assert (scored.confidence > 0.1).all()


def test_a_pipeline_without_probabilities_has_no_confidence(reference: Doc) -> None:
    nlp = spacy.blank("xx")
    ruler = nlp.add_pipe("attribute_ruler")
    ruler.add(patterns=[[{"LOWER": "the"}]], attrs={"TAG": "DET"})
    scored = evaluate(nlp, [reference], "tag")
    assert scored.confidence is None
    assert scored.predicted.tolist() == ["DET", *["(none)"] * 4, "DET", "(none)"]


def test_a_pipeline_must_write_the_attribute(reference: Doc) -> None:
    with pytest.raises(ValueError, match="the pipeline writes no tag"):
        evaluate(spacy.blank("xx"), [reference], "tag")


def test_known_words_are_those_of_the_training(nlp: Language) -> None:
    assert known_words(nlp) == {"the", "dog", "ate", "apple", "everybody", "read", "that", "book"}
    assert known_words(spacy.blank("xx")) is None


def test_words_are_counted_in_any_case(reference: Doc) -> None:
    assert word_counts([reference])["the"] == 2


@pytest.mark.parametrize("seed", range(4))
def test_p_is_that_of_all_permutations(seed: int) -> None:
    random = numpy.random.default_rng(seed)
    first, second = random.integers(0, 6, (2, 9))
    differences = first - second
    sums = [abs(numpy.dot(signs, differences)) for signs in product([-1, 1], repeat=9)]
    exact = numpy.mean([s >= abs(differences.sum()) for s in sums])
    assert permutation_p(first, second) == pytest.approx(exact, abs=0.02)
    assert permutation_p(second, first) == permutation_p(first, second)


def test_equal_taggers_do_not_differ() -> None:
    right = numpy.asarray([3, 4, 0])
    assert permutation_p(right, right) == 1


def test_the_interval_is_that_of_the_normal_distribution() -> None:
    right = numpy.asarray([1] * 800 + [0] * 200)
    low, high = bootstrap_interval(right, numpy.ones(1000, dtype="int64"))
    deviation = 1.96 * (0.8 * 0.2 / 1000) ** 0.5
    assert (low, high) == pytest.approx((0.8 - deviation, 0.8 + deviation), abs=0.003)


def test_sentences_are_drawn_not_tokens() -> None:
    right, total = numpy.asarray([100, 0]), numpy.asarray([100, 100])
    assert bootstrap_interval(right, total) == (0, 1)


def test_values_are_added_up_per_sentence() -> None:
    sums = per_sentence(numpy.asarray([True, True, False]), numpy.asarray([0, 2, 2]), 4)
    assert sums.tolist() == [1, 0, 1, 0]
