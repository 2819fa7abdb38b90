"""Tests of `tagger.py`: the component predicts, and has its place in a pipeline."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from helpers import (
    ATTRIBUTES,
    EMPTY,
    EMPTY_AT,
    GOLD,
    ODD_WORDS,
    WORDS,
    annotation,
    learn,
    predicted,
)
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_model_from_config
from spacy.vectors import Vectors
from thinc.api import SGD

from spacy_lstm_tagger.pipeline.tagger import LSTMTagger


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_attribute_is_learnt_and_no_other_is_written(
    nlp: Language, train: Callable, attribute: str
) -> None:
    train(nlp, attribute=attribute)
    doc = nlp(Doc(nlp.vocab, words=WORDS))
    assert annotation(doc, attribute) == GOLD[attribute]
    assert not any(doc.has_annotation(other.upper()) for other in {*ATTRIBUTES} - {attribute})


def test_an_attribute_that_is_no_name_is_refused(nlp: Language, tagger: LSTMTagger) -> None:
    with pytest.raises(ValueError, match="mine: extension = 'two words' must be a name"):
        LSTMTagger(nlp.vocab, tagger.model, "mine", attribute="two words")


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_label_smoothing_is_a_probability(nlp: Language, smoothing: float) -> None:
    with pytest.raises(ValueError, match=f"lstm_tagger: label_smoothing = {smoothing} must be"):
        nlp.add_pipe("lstm_tagger", config={"label_smoothing": smoothing})


@pytest.mark.parametrize("value", ["no", None])
def test_probabilities_are_stored_or_not(nlp: Language, value: Any) -> None:
    component: Any = nlp.add_pipe("lstm_tagger")
    with pytest.raises(ValueError, match=f"store_probabilities = {value!r} must be true or false"):
        component.store_probabilities = value


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_has_one_doc_at_least(trained: Language, batch_size: int) -> None:
    with pytest.raises(ValueError, match=f"lstm_tagger: batch_size = {batch_size} must be at"):
        list(trained.pipe(["The dog"], batch_size=batch_size))


@pytest.mark.filterwarnings("ignore:invalid value")
def test_weights_that_are_not_finite_tag_nothing(
    nlp: Language, examples: list[Example], train: Callable
) -> None:
    train(nlp).get_pipe("lstm_tagger").update(examples, sgd=SGD(float("inf")))
    with pytest.raises(ValueError, match="weights contain NaN or infinity"):
        nlp("The dog")


def test_prediction_before_initialization_is_refused(nlp: Language) -> None:
    nlp.add_pipe("lstm_tagger").add_label("A")
    with pytest.raises(ValueError, match="initialize"):
        nlp("a dog")


@pytest.mark.parametrize("texts", EMPTY_AT)
def test_empty_docs_are_tagged(trained: Language, texts: list[list[str]]) -> None:
    docs = list(trained.pipe(Doc(trained.vocab, words=words) for words in texts))
    assert [annotation(doc, "tag") for doc in docs] == [
        predicted(trained, words=words) for words in texts
    ]
    assert annotation(trained(""), "tag") == []


@pytest.mark.parametrize("words", ODD_WORDS.values(), ids=ODD_WORDS.keys())
def test_odd_words_are_tagged_unseen(trained: Language, words: list[str]) -> None:
    assert set(predicted(trained, words=words)) <= {"DET", "NN", "V", "_SP"}
    assert all(token.tag_ for token in trained(" ".join(words)))


def test_trained_component_is_sourced(trained: Language, nlp: Language) -> None:
    nlp.add_pipe("lstm_tagger", source=trained)
    assert predicted(nlp) == GOLD["tag"]
    assert nlp.config["training"]["score_weights"] == {"tag_acc": 1.0}


def test_trained_component_is_sourced_by_config(trained: Language, tmp_path: Path) -> None:
    trained.to_disk(tmp_path)
    config = {
        "nlp": {"lang": "xx", "pipeline": ["mine"]},
        "components": {"mine": {"source": str(tmp_path), "component": "lstm_tagger"}},
    }
    assert predicted(load_model_from_config(config, auto_fill=True)) == GOLD["tag"]


def test_frozen_component_does_not_change(
    nlp: Language, tagger: LSTMTagger, examples: list[Example], weights_of: Callable
) -> None:
    before = weights_of(tagger.model)
    losses = nlp.update(examples, sgd=nlp.resume_training(), exclude=["lstm_tagger"])
    assert "lstm_tagger" not in losses
    after = weights_of(tagger.model)
    assert all(numpy.array_equal(before[name], after[name]) for name in before)


def test_annotating_component_shows_its_labels_to_the_next(
    nlp: Language, train: Callable, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    train(nlp)
    following = nlp.add_pipe("lstm_tagger", name="following")
    seen: list[list[str]] = []
    monkeypatch.setattr(
        following,
        "update",
        lambda batch, **_: seen.extend(annotation(eg.predicted, "tag") for eg in batch),
    )
    nlp.update(examples, sgd=False, exclude=["lstm_tagger"], annotates=["lstm_tagger"])
    assert seen == [annotation(eg.reference, "tag") for eg in examples]


def test_disabled_component_does_not_tag(nlp: Language, train: Callable) -> None:
    train(nlp)
    with nlp.select_pipes(disable=["lstm_tagger"]):
        assert predicted(nlp) == [""] * 5
    assert predicted(nlp) == GOLD["tag"]


def test_renamed_component_tags_and_trains(
    nlp: Language, train: Callable, examples: list[Example], tmp_path: Path
) -> None:
    train(nlp).rename_pipe("lstm_tagger", "renamed")
    assert nlp.pipe_names == ["renamed"] and predicted(nlp) == GOLD["tag"]
    assert nlp.update(examples, sgd=nlp.resume_training())
    nlp.to_disk(tmp_path)
    assert predicted(spacy.load(tmp_path)) == GOLD["tag"]


def test_two_components_share_a_pipeline(nlp: Language, train: Callable) -> None:
    train(train(nlp, name="tags"), name="parts", attribute="pos")
    doc = nlp(Doc(nlp.vocab, words=WORDS))
    assert (annotation(doc, "tag"), annotation(doc, "pos")) == (GOLD["tag"], GOLD["pos"])
    assert nlp.config["training"]["score_weights"] == {"tag_acc": 0.5, "pos_acc": 0.5}


def test_two_components_have_a_loss_each(
    nlp: Language, tagger: LSTMTagger, tiny: dict[str, Any], examples: list[Example]
) -> None:
    nlp.add_pipe("lstm_pos_tagger", name="parts", config={"model": tiny})
    losses = nlp.update(examples, sgd=nlp.initialize(lambda: examples))
    assert losses.keys() == {"lstm_tagger", "parts"} and all(losses.values())


def test_model_serves_the_tagger_of_spacy(
    nlp: Language, tiny: dict[str, Any], examples: list[Example]
) -> None:
    nlp.add_pipe("tagger", config={"model": tiny})
    learn(nlp, examples)
    assert predicted(nlp) == GOLD["tag"]
    assert nlp.evaluate(examples)["tag_acc"] == 1.0


def test_scores_do_not_depend_on_the_batch(
    nlp: Language, tiny: dict[str, Any], examples: list[Example]
) -> None:
    component = nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "window_length": 2}})
    nlp.initialize(lambda: examples)
    texts = [WORDS, EMPTY, ["dog"], WORDS * 20]
    docs = [Doc(nlp.vocab, words=words) for words in texts]
    alone = [component.model.predict([doc])[0] for doc in docs]
    for order in permutations(range(len(docs))):
        batch = component.model.predict([docs[i] for i in order])
        for i, scores in zip(order, batch, strict=True):
            assert scores.shape == (len(docs[i]), 3)
            numpy.testing.assert_allclose(scores, alone[i], atol=1e-6)


def test_pipe_equals_call_in_any_batch_size(trained: Language) -> None:
    texts = [WORDS[i:] + WORDS[:i] * j for i in range(5) for j in range(3)]
    single = [predicted(trained, words=words) for words in texts]
    for batch_size in (1, 2, 7, 100):
        docs = [Doc(trained.vocab, words=words) for words in texts]
        tagged = trained.pipe(docs, batch_size=batch_size)
        assert [annotation(doc, "tag") for doc in tagged] == single


def test_eight_threads_predict_what_one_does(
    nlp: Language, tagger: LSTMTagger, examples: list[Example]
) -> None:
    nlp.update(examples, drop=0.5)
    texts = [WORDS[i % 5 :] * (1 + i % 7) for i in range(64)]
    docs = [Doc(nlp.vocab, words=words) for words in texts]
    serial = [tagger.model.predict([doc])[0] for doc in docs]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            threaded = list(pool.map(lambda doc: tagger.model.predict([doc])[0], docs))
    finally:
        sys.setswitchinterval(interval)
    assert all(map(numpy.array_equal, serial, threaded))


def test_crf_serves_the_tagger_of_spacy(nlp: Language, examples: list[Example], tiny: dict) -> None:
    nlp.add_pipe("tagger", config={"model": {**tiny, "crf": True}})
    learn(nlp, examples)
    assert [t.tag_ for t in nlp("The dog ate the apple")] == ["DET", "NN", "V", "DET", "NN"]


@pytest.mark.parametrize("wrong", [[1], [0, 2], [0, 1, 2]])
def test_a_doc_that_cannot_be_tagged_does_not_stop_the_others(
    trained: Language, wrong: list[int]
) -> None:
    given: list[Doc] = []
    component = trained.get_pipe("lstm_tagger")
    component.set_error_handler(lambda name, pipe, docs, error: given.extend(docs))
    docs = [Doc(trained.vocab, words=WORDS) for _ in range(3)]
    for i in wrong:
        docs[i][0]._.tag_allowed = ["no such tag"]
    try:
        found = list(component.pipe(iter(docs), batch_size=3))
    finally:
        del component.error_handler
    assert found == [doc for i, doc in enumerate(docs) if i not in wrong]
    assert given == [docs[i] for i in wrong]
    assert all(annotation(doc, "tag") == GOLD["tag"] for doc in found)


def test_a_doc_that_cannot_be_tagged_raises_by_default(trained: Language) -> None:
    docs = [trained.make_doc("The dog"), trained.make_doc("dog")]
    docs[1][0]._.tag_allowed = ["no such tag"]
    stream = trained.pipe(docs)
    assert next(stream) is docs[0]
    with pytest.raises(ValueError, match=r"lstm_tagger: token 0 .*no such tag"):
        next(stream)


@pytest.mark.parametrize("call", ["k_best", "predict_probabilities"])
@pytest.mark.parametrize("text", ["text", ["text"]])
def test_a_text_is_no_doc(trained: Language, call: str, text: Any) -> None:
    arguments = (text, 2) if call == "k_best" else (text,)
    with pytest.raises(ValueError, match=r"lstm_tagger: a Doc is needed, not .*nlp\(text\)"):
        getattr(trained.get_pipe("lstm_tagger"), call)(*arguments)


@pytest.mark.parametrize("width, found", [(5, "vectors of width 5"), (0, "no vectors")])
def test_vectors_that_do_not_fit_are_refused(
    nlp: Language, examples: list[Example], tiny: dict[str, Any], width: int, found: str
) -> None:
    nlp.vocab.set_vector("dog", numpy.ones(3, dtype="float32"))
    nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "include_static_vectors": True}})
    nlp.initialize(lambda: examples)
    nlp.vocab.vectors = Vectors(shape=(1, width)) if width else Vectors()
    for call in (lambda: nlp("The dog"), lambda: nlp.update(examples)):
        with pytest.raises(ValueError, match=f"word vectors of width 3, .*{found}"):
            call()
