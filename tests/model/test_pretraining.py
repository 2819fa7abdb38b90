"""Tests of `pretraining.py`: learning from text without labels."""

from typing import Any

import pytest
from spacy.tokens import Doc
from spacy.training.pretrain import make_update
from spacy.vocab import Vocab
from thinc.api import Adam, Model, fix_random_seed

from spacy_lstm_tagger.model.architectures import LSTMTagger, LSTMTok2Vec
from spacy_lstm_tagger.model.pretraining import PretrainLM, number_words

WIDTHS = {"word_width": 6, "character_width": 4, "character_lstm_width": 3, "lstm_width": 16}


def make_model(docs: list[Doc], n_words: int = 10, **settings: Any) -> Model:
    fix_random_seed(0)
    tok2vec = LSTMTok2Vec(**WIDTHS, **settings)
    tok2vec.initialize(X=docs)
    model = PretrainLM(n_words=n_words)(docs[0].vocab, tok2vec)
    model.initialize(X=docs)
    return model


@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_learns_to_guess(docs: list[Doc], bidirectional: bool) -> None:
    model, optimizer = make_model(docs, bidirectional=bidirectional), Adam(0.03)
    docs = [Doc(docs[0].vocab), *docs, Doc(docs[0].vocab)]
    losses = [make_update(model, docs, optimizer, model.attrs["loss"]) for _ in range(40)]
    n_guesses = (1 + bidirectional) * 9  # of words that have a neighbour on that side
    assert losses[0] / n_guesses > 2 > 0.8 > losses[-1] / n_guesses


def test_gradient_is_that_of_the_mean(docs: list[Doc]) -> None:
    model, seen = make_model(docs), []
    loss, backprop = model.begin_update(docs)
    total, d_loss = model.attrs["loss"](model.ops, docs, loss)
    assert total == float(loss[0])
    assert d_loss.tolist() == [pytest.approx(1 / sum(map(len, docs)))]
    backprop(d_loss)
    for shim in (model.shims[0], model.layers[0].shims[0]):
        network = getattr(shim, "_model", None) or shim.network
        seen += [p.grad is not None and bool(p.grad.any()) for p in network.parameters()]
    assert any(seen)


@pytest.mark.parametrize("changed", range(5))
def test_a_guess_does_not_know_the_word(docs: list[Doc], changed: int) -> None:
    """Of what the encoder says, only what the predictor reads; the rest sees the neighbours."""
    encoder, width = make_model(docs).layers[0], WIDTHS["lstm_width"]
    words = [token.text for token in docs[0]]
    other = [*words[:changed], "bird", *words[changed + 1 :]]
    first, second = encoder.predict([Doc(docs[0].vocab, words=w) for w in (words, other)])
    assert (first[:changed, :width] == second[:changed, :width]).all()
    assert (
        first[changed + 1 :, width : 2 * width] == second[changed + 1 :, width : 2 * width]
    ).all()
    assert (first[changed, : 2 * width] != second[changed, : 2 * width]).any()


def test_words_are_numbered_until_there_are_enough() -> None:
    numbers: dict[str, int] = {}
    vocab = Vocab()
    first = [Doc(vocab, words=["The", "dog"]), Doc(vocab), Doc(vocab, words=["the"])]
    assert number_words(first, numbers, 3).tolist() == [1, 2, 1]
    assert number_words([Doc(vocab, words=["a", "dog", "b"])], numbers, 3).tolist() == [0, 2, 0]
    assert numbers == {"the": 1, "dog": 2}


def test_what_would_see_the_words_is_refused(docs: list[Doc]) -> None:
    with pytest.raises(ValueError, match=r"PretrainLM.v1 needs depth = 1, not 2"):
        PretrainLM()(docs[0].vocab, LSTMTok2Vec(**WIDTHS, depth=2))


def test_a_projection_is_refused(docs: list[Doc]) -> None:
    with pytest.raises(ValueError, match=r"PretrainLM.v1 needs output_width = 0"):
        PretrainLM()(docs[0].vocab, LSTMTok2Vec(**WIDTHS, output_width=5))


def test_other_architectures_are_refused(docs: list[Doc]) -> None:
    with pytest.raises(ValueError, match=r"LSTMTok2Vec.v1; this one is 'lstm_tagger'"):
        PretrainLM()(docs[0].vocab, LSTMTagger(**WIDTHS))


def test_n_words_is_checked() -> None:
    with pytest.raises(ValueError, match="n_words = 1 must be at least 2"):
        PretrainLM(n_words=1)
