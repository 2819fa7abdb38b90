"""Tests of `compaction.py`: what is left of a network, and what it is saved as."""

from collections.abc import Callable

import numpy
import pytest
import safetensors.numpy
import srsly
from numpy.testing import assert_array_equal
from spacy.language import Language
from spacy.util import load_model_from_config

from spacy_lstm_tagger.model.compaction import compact
from spacy_lstm_tagger.model.shim import NetworkShim, network_of
from spacy_lstm_tagger.model.vocabulary import Vocabulary

TEXTS = ["The dog ate that book", "An unknown text"]


def scores_of(nlp: Language) -> numpy.ndarray:
    tagger = nlp.get_pipe("lstm_tagger")
    return numpy.concatenate(tagger.predict_probabilities([nlp.make_doc(t) for t in TEXTS]))


@pytest.fixture
def shim(nlp: Language, train: Callable) -> NetworkShim:
    return network_of(train(nlp).get_pipe("lstm_tagger").model)


def test_the_words_that_differ_most_from_unknown_ones_stay() -> None:
    vocabulary = Vocabulary("abcde", ["<a", "<b", "<c"], "abc", n_frequent=2)
    weights = {
        "words.weight": numpy.asarray([[127], [0.1], [3], [0], [-5], [2]], dtype="float32"),
        "affixes.weight": numpy.asarray([[2], [2], [5], [1]], dtype="float32"),
        "other": numpy.asarray([1 / 3, 1e6], dtype="float32"),
    }
    smaller, kept = compact(vocabulary, weights, 0.4)
    assert smaller.words == {"b": 1, "d": 2, "e": 3}
    assert smaller.affixes == {"<b": 1, "<c": 2}
    assert smaller.characters == vocabulary.characters
    assert smaller.is_rare.tolist() == [True, False, True, True]
    numpy.testing.assert_allclose(kept["words.weight"], [[127], [3], [-5], [2]], rtol=1e-3)
    numpy.testing.assert_allclose(kept["affixes.weight"], [[2], [5], [1]], rtol=1e-3)
    assert kept["other"].tolist() == [float(numpy.float16(1 / 3)), 1e6]
    assert len(vocabulary.words) == 5 and len(weights["words.weight"]) == 6


def test_rounded_weights_are_saved_in_fewer_bytes(shim: NetworkShim) -> None:
    def types() -> set[str]:
        weights = safetensors.numpy.load(srsly.msgpack_loads(shim.to_bytes())["weights"])
        return {str(values.dtype) for values in weights.values()}

    full = len(shim.to_bytes())
    assert "float32" in types()
    shim.compact(0.0)
    assert types() == {"float16", "int8", "float32"}  # of which are the scales of rows
    assert len(shim.to_bytes()) < 0.7 * full


@pytest.mark.parametrize("crf", [False, True])
def test_what_is_loaded_is_what_was_saved(
    nlp: Language, train: Callable, tiny: dict, crf: bool
) -> None:
    nlp = train(nlp, model={**tiny, "crf": crf})
    before = scores_of(nlp)
    network_of(next(n for n in nlp.get_pipe("lstm_tagger").model.walk() if n.shims)).compact(0.5)
    after = scores_of(nlp)
    assert 0 < abs(before - after).max() < 0.3
    other = load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert_array_equal(scores_of(other), after)


def test_it_can_be_trained_further(
    nlp: Language, train: Callable, make_examples: Callable, shim: NetworkShim
) -> None:
    examples = make_examples(nlp)
    optimizer = nlp.create_optimizer()
    nlp.update(examples, sgd=optimizer)
    shim.compact(1.0)
    assert not shim.vocabulary.words
    for _ in range(30):
        losses = nlp.update(examples, sgd=optimizer)
    assert losses["lstm_tagger"] < 1
    # Words that were dropped are learnt again.
    assert "dog" in shim.vocabulary.words
    assert [t.tag_ for t in nlp("The dog ate the apple")] == ["DET", "NN", "V", "DET", "NN"]
