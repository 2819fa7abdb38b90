"""Tests of `architectures.py`: outputs don't depend on the batch, or on the cut into windows."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest
from numpy.testing import assert_allclose
from spacy.tokens import Doc
from thinc.api import Adam

from spacy_lstm_tagger.model import architectures
from spacy_lstm_tagger.model.architectures import LSTMTagger, LSTMTok2Vec
from spacy_lstm_tagger.model.shim import network_of
from spacy_lstm_tagger.model.types import DocModel, Floats2d

MakeDocs = Callable[..., list[Doc]]
MakeModel = Callable[..., DocModel]
LongDoc = Callable[[int], list[Doc]]

ARCHITECTURES = [LSTMTagger, LSTMTok2Vec]


def assert_close(found: list[Floats2d], expected: list[Floats2d], tolerance: float = 1e-6) -> None:
    for array, other in zip(found, expected, strict=True):
        assert_allclose(array, other, rtol=0, atol=tolerance)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("is_train", [False, True])
def test_batched_equals_unbatched_equals_any_order(
    make_model: MakeModel,
    make_docs: MakeDocs,
    docs: list[Doc],
    long_doc: LongDoc,
    architecture: Callable[..., DocModel],
    is_train: bool,
    variant: dict[str, Any],
) -> None:
    model = make_model(architecture, **variant)
    docs = [*docs, *make_docs("", "the THE The cat unheard-of", ""), *long_doc(40)]
    one_by_one = [model([doc], is_train)[0][0] for doc in docs]
    assert_close(model(docs, is_train)[0], one_by_one)
    for seed in range(3):
        order = numpy.random.RandomState(seed).permutation(len(docs))
        shuffled, _ = model([docs[i] for i in order], is_train)
        assert_close(shuffled, [one_by_one[i] for i in order])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_prediction_in_parts_equals_prediction_at_once(
    make_model: MakeModel,
    docs: list[Doc],
    long_doc: LongDoc,
    monkeypatch: pytest.MonkeyPatch,
    architecture: Callable[..., DocModel],
    variant: dict[str, Any],
) -> None:
    model = make_model(architecture, **{"window_length": 1, **variant})
    docs = [*docs, docs[1], *long_doc(40)]
    at_once = model.predict(docs)
    monkeypatch.setattr(architectures, "MAX_WINDOWS", 2)
    assert_close(model.predict(docs), at_once)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_long_doc_is_predicted_as_if_it_were_one_window(
    make_model: MakeModel,
    long_doc: LongDoc,
    architecture: Callable[..., DocModel],
    bidirectional: bool,
    depth: int,
) -> None:
    settings = {"depth": depth, "bidirectional": bidirectional}
    expected = make_model(architecture, window_length=1000, **settings).predict(long_doc(600))
    found = make_model(architecture, window_length=40, **settings).predict(long_doc(600))
    assert_close(found, expected, 1e-3)
    bare = make_model(architecture, window_length=1, **settings).predict(long_doc(600))
    # Left to right, a Doc is read whole, whatever the length of windows.
    assert (numpy.abs(bare[0] - expected[0]).max() > 1e-2) == bidirectional


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("length", [1, 7, 23, 24])
def test_a_doc_that_fits_into_a_window_is_predicted_exactly(
    make_model: MakeModel, long_doc: LongDoc, architecture: Callable[..., DocModel], length: int
) -> None:
    found = make_model(architecture, window_length=3).predict(long_doc(length))
    expected = make_model(architecture, window_length=1000).predict(long_doc(length))
    assert found[0].tolist() == expected[0].tolist()


def test_training_windows_do_not_overlap(make_model: MakeModel, make_docs: MakeDocs) -> None:
    model = make_model(LSTMTok2Vec, window_length=2)
    whole, _ = model.begin_update(make_docs("the dog saw the cat"))
    parts, _ = model.begin_update(make_docs("the", "dog saw", "the cat"))
    assert_close(whole, [numpy.concatenate(parts)])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("n_docs", [1, 3])
def test_a_batch_of_empty_docs_predicts_and_trains(
    make_model: MakeModel,
    make_docs: MakeDocs,
    architecture: Callable[..., DocModel],
    n_docs: int,
) -> None:
    model = make_model(architecture)
    empty = make_docs(*[""] * n_docs)
    shape = (0, model.get_dim("nO"))
    assert [output.shape for output in model.predict(empty)] == [shape] * n_docs
    outputs, backprop = model.begin_update(empty)
    backprop(outputs)
    model.finish_update(Adam(0.1))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_odd_words_predict_and_train(
    make_model: MakeModel,
    docs: list[Doc],
    odd_words: list[str],
    architecture: Callable[..., DocModel],
) -> None:
    model = make_model(architecture)
    vocab = docs[0].vocab
    batch = [Doc(vocab, words=odd_words), *(Doc(vocab, words=[word]) for word in odd_words)]
    outputs, backprop = model.begin_update(batch)
    backprop(outputs)
    model.finish_update(Adam(0.1))
    assert all(numpy.isfinite(output).all() for output in model.predict(batch))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("is_train", [False, True])
@pytest.mark.parametrize("max_windows", [1, 128])
def test_whitespace_changes_no_output_for_words(
    make_model: MakeModel,
    docs: list[Doc],
    monkeypatch: pytest.MonkeyPatch,
    architecture: Callable[..., DocModel],
    is_train: bool,
    max_windows: int,
    variant: dict[str, Any],
) -> None:
    monkeypatch.setattr(architectures, "MAX_WINDOWS", max_windows)
    model = make_model(architecture, **variant)
    spaced, vocab = [Doc(docs[0].vocab, words=["\n"])], docs[0].vocab
    for doc in docs:
        words = [form for token in doc for form in (" ", token.text, "\n\t")]
        spaced.append(Doc(vocab, words=["\u3000", *words]))
    expected, _ = model(docs, is_train)
    found, backprop = model(spaced, is_train)
    assert [len(outputs) for outputs in found] == [len(doc) for doc in spaced]
    assert_close([outputs[2::3] for outputs in found[1:]], expected)
    is_space = numpy.concatenate([[token.is_space for token in doc] for doc in spaced])
    of_spaces = numpy.concatenate(found)[is_space]
    assert (of_spaces == of_spaces[:1]).all()
    if is_train:
        backprop(found)


def test_whitespace_is_not_learnt_in_training(make_model: MakeModel, docs: list[Doc]) -> None:
    model = make_model()
    before = network_of(model).to_bytes()
    words = ["the", "\n", "dog", " ", "saw", "\u3000", "the", "  ", "cat"]
    model.begin_update([Doc(docs[0].vocab, words=words)])
    assert network_of(model).to_bytes() == before
