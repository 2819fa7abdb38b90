"""Tests of `tagger.py`: vocabularies and labels that grow while a component is trained."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam

from spacy_lstm_tagger.model.crf import emitter_of
from spacy_lstm_tagger.pipeline.tagger import LSTMTagger

WORDS = ["Wugs", "blick", "!"]
NEW_TAGS = ["NNS", "V", "PUNCT"]
CRFS = [False, True]


def example(nlp: Language, words: list[str], tags: list[str]) -> Example:
    return Example(Doc(nlp.vocab, words=words), Doc(nlp.vocab, words=words, tags=tags))


@pytest.fixture(params=CRFS, ids=["softmax", "crf"])
def tagger(nlp: Language, train: Callable, tiny: dict, request: Any) -> LSTMTagger:
    return train(nlp, model={**tiny, "crf": request.param}).get_pipe("lstm_tagger")


@pytest.fixture
def docs(nlp: Language, tagger: LSTMTagger) -> list[Doc]:
    texts = [["The", "book", "ate", "everybody"], ["?"], [], ["An", "odd", "dog"] * 20]
    return [Doc(nlp.vocab, words=words) for words in texts]


def words_of(tagger: LSTMTagger) -> set[str]:
    return {
        word
        for node in tagger.model.walk()
        for shim in node.shims
        for word in shim.vocabulary.words
    }


def test_training_teaches_new_words(nlp: Language, tagger: LSTMTagger) -> None:
    assert "wugs" not in words_of(tagger)
    nlp.update([example(nlp, WORDS, ["NN", "V", "V"])], sgd=Adam(0.01))
    assert {"wugs", "blick", "!"} <= words_of(tagger)


def test_a_component_that_is_not_trained_learns_no_words(nlp: Language, tagger: LSTMTagger) -> None:
    before = words_of(tagger)
    nlp.add_pipe("sentencizer")
    with nlp.select_pipes(disable=["lstm_tagger"]):
        nlp.update([example(nlp, WORDS, ["NN", "V", "V"])], sgd=Adam(0.01))
    nlp(Doc(nlp.vocab, words=WORDS))
    assert words_of(tagger) == before


def test_a_pipeline_that_was_initialized_without_examples_learns(tiny: dict[str, Any]) -> None:
    nlp = spacy.blank("xx")
    tagger = nlp.add_pipe("lstm_tagger", config={"model": tiny})
    for label in ("NNS", "V", "PUNCT"):
        tagger.add_label(label)
    optimizer = nlp.initialize()
    optimizer.learn_rate = 0.03
    for _ in range(40):
        nlp.update([example(nlp, WORDS, NEW_TAGS)], sgd=optimizer)
    assert [token.tag_ for token in nlp(Doc(nlp.vocab, words=WORDS))] == NEW_TAGS


def test_a_shared_encoder_learns_the_words_of_its_training(
    shared: Language, make_examples: Callable
) -> None:
    shared.initialize(lambda: make_examples(shared))
    tok2vec = shared.get_pipe("tok2vec")
    assert "wugs" not in words_of(tok2vec)
    shared.update([example(shared, WORDS, ["NN", "V", "V"])], sgd=Adam(0.01))
    assert "wugs" in words_of(tok2vec)


@pytest.mark.parametrize("labels", [["NEW"], ["NEW", "NEWER", "NEWEST"]])
def test_added_labels_change_no_prediction(
    tagger: LSTMTagger, docs: list[Doc], labels: list[str]
) -> None:
    before = [ids.tolist() for ids in tagger.predict(docs).label_ids]
    best = tagger.k_best(docs[0], 1)[0].labels
    for n, label in enumerate(labels, 4):
        assert tagger.add_label(label) == 1
        assert tagger.labels[n - 1 :] == (label,)
        assert [ids.tolist() for ids in tagger.predict(docs).label_ids] == before
    assert tagger.k_best(docs[0], 1)[0].labels == best
    (probabilities,) = tagger.predict_probabilities(docs[:1])
    assert probabilities.shape == (4, 3 + len(labels))


def test_scores_of_old_labels_stay(tagger: LSTMTagger, docs: list[Doc]) -> None:
    before = emitter_of(tagger.model).predict(docs)
    tagger.add_label("NEW")
    for own, old in zip(emitter_of(tagger.model).predict(docs), before, strict=True):
        numpy.testing.assert_allclose(own[:, :3], old, atol=1e-5)
        numpy.testing.assert_allclose(own[:, 3], old.mean(axis=1), atol=1e-5)


def test_texts_of_one_word_each_train_a_tagger(nlp: Language, tagger: LSTMTagger) -> None:
    losses = nlp.update([example(nlp, ["dog"], ["V"])], sgd=Adam(0.01))
    assert losses["lstm_tagger"] > 0


def test_added_labels_are_learnt_and_saved(nlp: Language, tagger: LSTMTagger) -> None:
    tagger.new_labels = "add"
    new, optimizer = example(nlp, WORDS, NEW_TAGS), Adam(0.03)
    old = example(nlp, ["The", "dog", "ate"], ["DET", "NN", "V"])
    for examples in ([old], [new, old]):
        for _ in range(40):
            nlp.update(examples, sgd=optimizer)
    assert tagger.labels == ("DET", "NN", "V", "NNS", "PUNCT")
    loaded = spacy.blank("xx")
    loaded.add_pipe("lstm_tagger", config={"model": nlp.get_pipe_config("lstm_tagger")["model"]})
    for pipeline in (nlp, loaded.from_bytes(nlp.to_bytes()), nlp.from_bytes(nlp.to_bytes())):
        assert [token.tag_ for token in pipeline(Doc(pipeline.vocab, words=WORDS))] == NEW_TAGS
    nlp.update([new], sgd=optimizer)


def test_labels_are_added_in_the_middle_of_a_training_with_averages(
    nlp: Language, tagger: LSTMTagger, docs: list[Doc]
) -> None:
    tagger.new_labels, optimizer = "add", Adam(0.01, use_averages=True)
    for tag in ("A", "B", "C"):
        nlp.update([example(nlp, ["dog"], [tag])], sgd=optimizer)
        with nlp.use_params(optimizer.averages):
            (scores, *_) = tagger.predict_probabilities(docs)
        assert scores.shape[1] == len(tagger.labels)
        numpy.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    assert tagger.labels[3:] == ("A", "B", "C")


def test_rehearsal_goes_on_with_labels_that_were_added(nlp: Language, tagger: LSTMTagger) -> None:
    optimizer = nlp.resume_training()
    tagger.add_label("NEW")
    examples = [example(nlp, WORDS, ["NN", "V", "V"])]
    losses = nlp.rehearse(examples, sgd=optimizer)
    assert numpy.isfinite(losses["lstm_tagger"])


def test_a_new_label_is_refused_unless_it_is_to_be_added(nlp: Language, tagger: LSTMTagger) -> None:
    with pytest.raises(ValueError, match=r'NNS, PUNCT.*new_labels = "add"'):
        nlp.update([example(nlp, WORDS, NEW_TAGS)])
    assert tagger.labels == ("DET", "NN", "V")


def test_one_label_that_is_none_keeps_the_others_out(nlp: Language, train: Callable) -> None:
    tagger = train(nlp, attribute="pos").get_pipe("lstm_tagger")
    labels = tagger.labels
    with pytest.raises(
        ValueError, match=r"'NNS' is not a universal part of speech.*factory lstm_tagger"
    ):
        tagger._add_labels(["ADJ", "NNS"])
    assert tagger.labels == labels and tagger.model.get_dim("nO") == len(labels)
    assert tagger.add_label("ADJ") == 1


@pytest.mark.parametrize("new_labels", ["add", "refuse"])
def test_a_listener_gets_no_more_labels(
    shared: Language, make_examples: Callable, new_labels: str
) -> None:
    examples = make_examples(shared)
    shared.initialize(lambda: examples)
    tagger = shared.get_pipe("tags")
    tagger.new_labels, before = new_labels, tagger.labels
    with pytest.raises(ValueError, match=r"tags: its model can't get more labels.*NEW"):
        tagger.add_label("NEW")
    message = "can't get more" if new_labels == "add" else "new_labels"
    with pytest.raises(ValueError, match=message):
        shared.update([example(shared, ["dog"], ["NEW"])])
    assert tagger.labels == before and tagger.model.get_dim("nO") == len(before)


@pytest.mark.parametrize("value", ["yes", None, True])
def test_new_labels_is_one_of_two(nlp: Language, value: Any) -> None:
    with pytest.raises(ValueError, match=r"lstm_tagger: new_labels = .* must be"):
        nlp.add_pipe("lstm_tagger", config={"new_labels": str(value)})


@pytest.mark.parametrize("store_probabilities", [False, True])
def test_threads_predict_while_labels_are_added(
    nlp: Language, tagger: LSTMTagger, docs: list[Doc], store_probabilities: bool
) -> None:
    tagger.store_probabilities = store_probabilities
    tagger.cfg["lexicon"] = {"book": ["NN", "V"]}

    def tags() -> list[list[str]]:
        found = [[token.tag_ for token in tagger(doc.copy())] for doc in docs]
        for doc, probabilities in zip(docs, tagger.predict_probabilities(docs), strict=True):
            numpy.testing.assert_allclose(probabilities.sum(axis=1), numpy.ones(len(doc)), 1e-5)
        return [*found, tagger.k_best(docs[0], 1)[0].labels]

    def predict() -> list[list[list[str]]]:
        found = []
        while not is_done.is_set():
            found.append(tags())
        return found

    before, is_done, interval = tags(), Event(), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(3) as pool:
            futures = [pool.submit(predict) for _ in range(3)]
            for i in range(40):
                tagger.add_label(f"L{i}")
            is_done.set()
    finally:
        is_done.set()
        sys.setswitchinterval(interval)
    found = [one for future in futures for one in future.result()]
    assert found and all(one == before for one in found)
    assert len(tagger.labels) == 43


def test_initialization_again_starts_afresh_with_the_same_optimizer(
    nlp: Language, tagger: LSTMTagger, make_examples: Callable
) -> None:
    """spaCy keeps the optimizer of a pipeline that is initialized again."""
    words, tags = ["a", "b", "c", "d", "e"], ["A", "B", "C", "D", "E"]
    optimizer = Adam(0.01, use_averages=True)
    for batch in ([example(nlp, words, tags)], make_examples(nlp)):
        nlp.initialize(lambda batch=batch: batch, sgd=optimizer)
        for _ in range(30):
            nlp.update(batch, sgd=optimizer)
        with nlp.use_params(optimizer.averages):
            for eg in batch:
                gold = [token.tag_ for token in eg.reference]
                assert [token.tag_ for token in nlp(eg.predicted.copy())] == gold
