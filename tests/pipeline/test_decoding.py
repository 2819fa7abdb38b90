"""Tests of `decoding.py`, by way of the component: against enumeration of all sequences."""

import tracemalloc
from collections.abc import Callable
from itertools import islice, pairwise, product
from typing import Any

import numpy
import pytest
import spacy
from helpers import CNN, learn
from numpy.testing import assert_allclose, assert_array_equal
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_lstm_tagger.pipeline.decoding import _best_choices
from spacy_lstm_tagger.pipeline.tagger import LSTMTagger

SEQUENCES = ["book read that Everybody apple", "ate dog", "The", "read The book dog"]


@pytest.fixture(scope="module", params=[False, True], ids=["softmax", "crf"])
def decoder(
    request: pytest.FixtureRequest, make_examples: Callable, tiny: dict[str, Any]
) -> Language:
    """A pipeline that has learnt a little, with and without a CRF."""
    nlp = spacy.blank("xx")
    fix_random_seed(0)
    model = {**tiny, "crf": request.param}
    nlp.add_pipe("lstm_tagger", config={"model": model, "label_smoothing": 0.0})
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(4):
        nlp.update(examples, sgd=optimizer)
    if request.param:
        transitions = numpy.random.default_rng(0).normal(size=(3, 3)).astype("float32")
        nlp.get_pipe("lstm_tagger").model.set_param("transitions", transitions)
    return nlp


def test_a_long_doc_needs_no_scores_of_all_its_tokens_at_once(
    nlp: Language, make_examples: Callable, tiny: dict[str, Any]
) -> None:
    tagger: Any = nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "window_length": 1}})
    labels = ["DET", "NN", "V", *(f"label {i}" for i in range(300))]
    tagger.initialize(lambda: make_examples(nlp), labels=labels)
    doc = Doc(nlp.vocab, words=["dog", "ate", "apple"] * 6000)
    (expected,) = (scores.argmax(axis=1) for scores in tagger.model.predict([doc]))
    tracemalloc.start()
    (label_ids,) = tagger.predict([doc]).label_ids
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert label_ids.tolist() == expected.tolist()
    assert peak < 4 * len(doc) * len(labels) / 2


def enumerate_labels(tagger: LSTMTagger, doc: Doc) -> dict[tuple[str, ...], float]:
    """Return the probability of each sequence of labels, as the model has it."""
    model = tagger.model
    has_crf = model.name == "crf"
    (scores,) = (model.layers[0] if has_crf else model).predict([doc])
    transitions = model.get_param("transitions") if has_crf else numpy.zeros((3, 3))
    sequences = list(product(range(3), repeat=len(doc)))
    totals = numpy.asarray(
        [
            sum(scores[range(len(doc)), list(ids)])
            + sum(transitions[a, b] for a, b in pairwise(ids))
            for ids in sequences
        ]
    )
    weights = numpy.exp(totals - totals.max())
    return {
        tuple(tagger.labels[i] for i in ids): weight
        for ids, weight in zip(sequences, weights / weights.sum(), strict=True)
    }


@pytest.mark.parametrize("text", SEQUENCES)
def test_the_labels_of_the_best_sequence_are_written(decoder: Language, text: str) -> None:
    doc = decoder.make_doc(text)
    probabilities = enumerate_labels(decoder.get_pipe("lstm_tagger"), doc)
    assert tuple(token.tag_ for token in decoder(doc)) == max(
        probabilities, key=lambda labels: probabilities[labels]
    )


@pytest.mark.parametrize("text", SEQUENCES)
def test_probabilities_are_sums_over_sequences(decoder: Language, text: str) -> None:
    tagger = decoder.get_pipe("lstm_tagger")
    doc = decoder.make_doc(text)
    (own,) = tagger.predict_probabilities([doc])
    expected = numpy.zeros((len(doc), 3))
    for labels, probability in enumerate_labels(tagger, doc).items():
        for i, label in enumerate(labels):
            expected[i, tagger.labels.index(label)] += probability
    assert_allclose(own, expected, rtol=1e-4, atol=1e-6)
    assert_allclose(own.sum(axis=1), 1, rtol=1e-6)
    assert not doc.has_annotation("TAG") and not doc.user_data


@pytest.mark.parametrize("text", SEQUENCES)
def test_k_best_sequences_are_the_first_of_all(decoder: Language, text: str) -> None:
    tagger = decoder.get_pipe("lstm_tagger")
    doc = decoder.make_doc(text)
    probabilities = enumerate_labels(tagger, doc)
    ranked = sorted(probabilities.items(), key=lambda item: -item[1])
    for k in {1, 2, min(7, len(ranked)), len(ranked)}:
        best = tagger.k_best(doc, k)
        assert [tuple(b.labels) for b in best] == [labels for labels, _ in ranked[:k]]
        assert_allclose(
            [numpy.exp(b.log_probability) for b in best], [p for _, p in ranked[:k]], 1e-4
        )
    assert not doc.has_annotation("TAG")


@pytest.mark.parametrize("k", [-1, 0, 10])
def test_there_are_no_k_sequences(decoder: Language, k: int) -> None:
    message = f"lstm_tagger: k = {k} must be from 1 to 9, the number of sequences"
    with pytest.raises(ValueError, match=message):
        decoder.get_pipe("lstm_tagger").k_best(decoder.make_doc("ate dog"), k)


@pytest.mark.parametrize("k", [True, numpy.int64(2)])
def test_k_is_of_any_type_of_integers(decoder: Language, k: Any) -> None:
    assert len(decoder.get_pipe("lstm_tagger").k_best(decoder.make_doc("dog"), k)) == k


@pytest.mark.parametrize("k", ["x", None, 1.5, 2.0])
def test_k_is_a_whole_number(decoder: Language, k: Any) -> None:
    with pytest.raises(ValueError, match=f"lstm_tagger: k = {k!r} must be a whole number"):
        decoder.get_pipe("lstm_tagger").k_best(decoder.make_doc("dog"), k)


def test_an_empty_doc_is_one_sequence(decoder: Language) -> None:
    tagger = decoder.get_pipe("lstm_tagger")
    assert tagger.k_best(decoder.make_doc(""), 1) == [([], 0.0)]
    assert tagger.predict_probabilities([decoder.make_doc("")])[0].shape == (0, 3)
    assert tagger.predict_probabilities([]) == []


@pytest.mark.parametrize("crf", [False, True])
def test_an_empty_doc_needs_no_trained_tagger(
    nlp: Language, tiny: dict[str, Any], crf: bool
) -> None:
    tagger: Any = nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "crf": crf}})
    assert len(nlp("")) == 0
    assert len(tagger.predict_probabilities([nlp.make_doc("")])[0]) == 0
    with pytest.raises(ValueError, match="The model has no weights yet"):
        nlp("The dog")


def test_excluded_labels_are_never_written(decoder: Language) -> None:
    tagger = decoder.get_pipe("lstm_tagger")
    for label, text in product(tagger.labels, SEQUENCES):
        doc = decoder.make_doc(text)
        doc[0]._.tag_allowed = [label]
        doc[-1]._.tag_allowed = [label]
        expected = enumerate_labels(tagger, doc)
        expected = {s: p for s, p in expected.items() if s[0] == s[-1] == label}
        (probabilities,) = tagger.predict_probabilities([doc])
        assert_allclose(probabilities[0], [float(own == label) for own in tagger.labels])
        best = tagger.k_best(doc, len(expected))
        assert {tuple(b.labels) for b in best} == set(expected)
        assert_allclose(sum(numpy.exp(b.log_probability) for b in best), 1, rtol=1e-5)
        with pytest.raises(ValueError, match="the number of sequences"):
            tagger.k_best(doc, len(expected) + 1)
        annotated = tuple(token.tag_ for token in decoder(doc))
        assert annotated == max(expected, key=lambda labels: expected[labels])


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("n_process", [1, 2])
def test_docs_carry_what_the_method_returns(
    decoder: Language, batch_size: int, n_process: int
) -> None:
    tagger = decoder.get_pipe("lstm_tagger")
    texts = [*SEQUENCES, ""]
    expected = tagger.predict_probabilities([decoder.make_doc(text) for text in texts])
    tagger.store_probabilities = True
    try:
        docs = list(decoder.pipe(texts, batch_size=batch_size, n_process=n_process))
    finally:
        tagger.store_probabilities = False
    for doc, probabilities in zip(docs, expected, strict=True):
        assert tuple(doc._.tag_labels) == tagger.labels
        assert_allclose(doc._.tag_probabilities, probabilities, rtol=1e-5, atol=1e-6)
        for token, row in zip(doc, probabilities, strict=True):
            assert token._.tag_confidence == pytest.approx(
                row[tagger.labels.index(token.tag_)], rel=1e-4
            )
    assert [[t.tag_ for t in d] for d in docs] == [[t.tag_ for t in d] for d in decoder.pipe(texts)]


def test_docs_carry_nothing_unless_asked(decoder: Language) -> None:
    assert not decoder("The dog").user_data


def enumerate_choices(probabilities: numpy.ndarray) -> list[float]:
    """Return the logarithms of the probabilities of all sequences of independent labels."""
    rows = [[float(numpy.log(p)) for p in row if p > 0] for row in probabilities.astype("float64")]
    return sorted((sum(choice) for choice in product(*rows)), reverse=True)


@pytest.mark.parametrize("n_tokens, n_labels", [(1, 1), (1, 5), (4, 1), (2, 3), (4, 3), (6, 2)])
@pytest.mark.parametrize("seed", range(4))
def test_best_choices_are_the_first_of_all(n_tokens: int, n_labels: int, seed: int) -> None:
    random = numpy.random.default_rng(seed)
    scores = random.integers(0, 5, size=(n_tokens, n_labels)).astype("float32")  # with ties
    scores[range(n_tokens), random.integers(n_labels, size=n_tokens)] += 1
    probabilities = scores / scores.sum(axis=1, keepdims=True)  # and with excluded labels
    found = list(_best_choices(probabilities))
    expected = enumerate_choices(probabilities)
    assert_allclose([score for _, score in found], expected, atol=1e-9)
    assert len({tuple(labels) for labels, _ in found}) == len(expected)
    for labels, score in found:
        own = numpy.log(probabilities[range(n_tokens), labels].astype("float64")).sum()
        assert score == pytest.approx(own, abs=1e-9)


def test_best_choices_of_many_tokens_are_found_without_all_others() -> None:
    probabilities = numpy.random.default_rng(0).random((300, 500)).astype("float32")
    best = list(islice(_best_choices(probabilities), 1000))
    assert best[0][0] == probabilities.argmax(axis=1).tolist()
    scores = [score for _, score in best]
    assert scores == sorted(scores, reverse=True)
    assert len({tuple(labels) for labels, _ in best}) == 1000


def test_there_are_no_0_sequences_of_a_long_doc(decoder: Language) -> None:
    doc = Doc(decoder.vocab, words=["dog"] * 12_000)
    with pytest.raises(ValueError, match="k = 0 must be at least 1"):
        decoder.get_pipe("lstm_tagger").k_best(doc, 0)


def test_label_smoothing_is_taken_back(nlp: Language, train: Callable) -> None:
    train(nlp, label_smoothing=0.3)
    tagger = nlp.get_pipe("lstm_tagger")
    (probabilities,) = tagger.predict_probabilities([nlp.make_doc("The dog ate the apple")])
    assert (probabilities.max(axis=1) > 0.9).all()
    assert (probabilities > 0).all()
    tagger.cfg["label_smoothing"] = 0.0
    (raw,) = tagger.predict_probabilities([nlp.make_doc("The dog ate the apple")])
    assert (raw.max(axis=1) < 0.8).all()
    assert_array_equal(probabilities.argsort(axis=1), raw.argsort(axis=1))


@pytest.mark.parametrize("normalize", [False, True])
def test_probabilities_of_a_model_of_spacy(
    nlp: Language, examples: list[Example], normalize: bool
) -> None:
    model = {"@architectures": "spacy.Tagger.v2", "tok2vec": CNN, "normalize": normalize}
    tagger = nlp.add_pipe("lstm_tagger", config={"model": model, "label_smoothing": 0.0})
    learn(nlp, examples)
    docs = [nlp.make_doc(text) for text in ("The dog", "Everybody read that book")]
    expected, _ = tagger.model(docs, is_train=True)
    for own, probabilities in zip(tagger.predict_probabilities(docs), expected, strict=True):
        assert_allclose(own, probabilities, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("text", ["Everybody read that book", "The dog"])
def test_whitespace_does_not_disturb_words(decoder: Language, text: str) -> None:
    tagger = decoder.get_pipe("lstm_tagger")
    words = text.split()
    spaced = [" ", *[part for word in words for part in (word, "\n", " ")]]
    plain, doc = (Doc(decoder.vocab, words=some) for some in (words, spaced))
    is_word = numpy.asarray([not word.isspace() for word in spaced])
    (label_ids,), (expected_ids,) = (tagger.predict([d]).label_ids for d in (doc, plain))
    assert label_ids[is_word].tolist() == expected_ids.tolist()
    assert set(label_ids[~is_word].tolist()) == {-1}
    found, expected = tagger.predict_probabilities([doc, plain])
    assert_allclose(found[is_word], expected, atol=1e-6)
    assert not found[~is_word].any()
    for one, other in zip(tagger.k_best(doc, 5), tagger.k_best(plain, 5), strict=True):
        labels = iter(other.labels)
        assert one.labels == [next(labels) if word else "_SP" for word in is_word]
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-5)


@pytest.mark.parametrize("words", [[" "], ["\n", "\t "], []])
def test_a_doc_without_words_is_tagged(decoder: Language, words: list[str]) -> None:
    tagger = decoder.get_pipe("lstm_tagger")
    docs = [Doc(decoder.vocab, words=some) for some in (words, ["dog"], words)]
    assert [ids.tolist() for ids in tagger.predict(docs).label_ids][::2] == [[-1] * len(words)] * 2
    assert [p.shape for p in tagger.predict_probabilities(docs)][::2] == [(len(words), 3)] * 2
    assert tagger.k_best(docs[0], 1) == [(["_SP"] * len(words), 0.0)]
    assert [token.tag_ for token in tagger(docs[0])] == ["_SP"] * len(words)
