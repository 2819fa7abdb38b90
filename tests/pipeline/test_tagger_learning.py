"""Tests of `tagger.py`: how the component learns, and grows."""

import logging
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

import numpy
import pytest
import spacy
from helpers import (
    ATTRIBUTES,
    EMPTY_AT,
    GOLD,
    ODD_WORDS,
    WORDS,
    annotated,
    example,
    learn,
    predicted,
)
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import SGD, fix_random_seed
from thinc.types import Floats2d

from spacy_lstm_tagger.pipeline.labels import FACTORIES
from spacy_lstm_tagger.pipeline.tagger import LSTMTagger


def gradients(component: LSTMTagger, examples: list[Example]) -> dict[str, numpy.ndarray]:
    """Return the gradient of each parameter after one batch."""
    component.update(examples)
    network = component.model.shims[0].network
    found = {name: p.grad.numpy().copy() for name, p in network.named_parameters()}
    network.zero_grad()
    return found


@pytest.mark.parametrize("smoothing", [0.0, 0.05, 0.5])
def test_gradient_is_probability_less_smoothed_truth(
    nlp: Language, tagger: LSTMTagger, examples: list[Example], smoothing: float
) -> None:
    component = LSTMTagger(nlp.vocab, tagger.model, label_smoothing=smoothing)
    component.cfg["labels"] = list(tagger.labels)
    scores, _ = tagger.model.begin_update([eg.predicted for eg in examples])
    _, gradient = component.get_loss(examples, scores)
    for eg, doc_scores, doc_gradient in zip(examples, scores, gradient, strict=True):
        for token, row, d_row in zip(eg.reference, doc_scores, doc_gradient, strict=True):
            gold = numpy.asarray([label == token.tag_ for label in tagger.labels])
            truth = numpy.where(gold, 1 - smoothing, smoothing / (len(gold) - 1))
            numpy.testing.assert_allclose(d_row, row - truth, atol=1e-6)


@pytest.mark.parametrize("prefix", ["!", "not-"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_negative_label_moves_only_its_own_score(
    nlp: Language, tagger: LSTMTagger, prefix: str, smoothing: float
) -> None:
    tagger.cfg.update(neg_prefix=prefix, label_smoothing=smoothing)
    batch = [example(nlp, WORDS, ["DET", f"{prefix}NN", "", "", ""])]
    scores, _ = tagger.model.begin_update([eg.predicted for eg in batch])
    loss, (gradient,) = tagger.get_loss(batch, scores)
    expected = numpy.zeros_like(gradient)
    expected[0] = scores[0][0] - [1 - smoothing, smoothing / 2, smoothing / 2]
    expected[1, tagger.labels.index("NN")] = scores[0][1, tagger.labels.index("NN")]
    numpy.testing.assert_allclose(gradient, expected, atol=1e-6)
    assert loss == pytest.approx((expected**2).sum(), rel=1e-5)


def test_negative_label_is_unlearnt(nlp: Language, train: Callable) -> None:
    optimizer = train(nlp).resume_training()
    assert predicted(nlp)[1] == "NN"
    batch = [example(nlp, WORDS, ["DET", "!NN", "V", "DET", "NN"])]
    for _ in range(30):
        nlp.update(batch, sgd=optimizer)
    assert predicted(nlp)[1] != "NN" and predicted(nlp)[2:] == GOLD["tag"][2:]


def test_denied_labels_are_labels(nlp: Language, tiny: dict[str, Any]) -> None:
    component = nlp.add_pipe("lstm_tagger", config={"model": tiny})
    batch = [example(nlp, ["a", "b", "c"], ["A", "!B", ""])]
    optimizer = nlp.initialize(lambda: batch)
    assert component.labels == ("A", "B")
    assert nlp.update(batch, sgd=optimizer)["lstm_tagger"] > 0


def test_exclamation_mark_is_a_tag_under_another_prefix(
    nlp: Language, tiny: dict[str, Any]
) -> None:
    component = nlp.add_pipe("lstm_tagger", config={"model": tiny, "neg_prefix": "~"})
    batch = [example(nlp, ["Go", "!"], ["V", "!"])]
    learn(nlp, batch)
    assert component.labels == ("!", "V")
    assert predicted(nlp, words=["Go", "!"]) == ["V", "!"]


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_missing_labels_have_no_gradient(
    nlp: Language, tiny: dict[str, Any], make_examples: Callable, attribute: str
) -> None:
    component = nlp.add_pipe(FACTORIES[attribute], config={"model": tiny})
    nlp.initialize(lambda: make_examples(nlp))
    labels = [GOLD[attribute][0], "", GOLD[attribute][2], "", ""]
    reference = annotated(nlp, attribute, labels)
    batch = [Example(Doc(nlp.vocab, words=WORDS), reference)]
    scores, _ = component.model.begin_update([batch[0].predicted])
    _, (gradient,) = component.get_loss(batch, scores)
    assert gradient.any(axis=1).tolist() == [True, False, True, False, False]


@pytest.mark.parametrize("crf", [False, True])
def test_partial_annotation_is_learnt(nlp: Language, tiny: dict[str, Any], crf: bool) -> None:
    nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "crf": crf}})
    batch = [
        example(nlp, ["I", "like", "green", "eggs"], ["", "V", "J", ""]),
        Example(
            Doc(nlp.vocab, words=["He", "hates", "green", "eggs"]),
            Doc(
                nlp.vocab,
                words=["He", "hate", "s", "green", "eggs"],
                tags=["", "V", "S", "J", ""],
            ),
        ),
    ]
    learn(nlp, batch)
    assert predicted(nlp, words=["I", "like", "green", "eggs"])[1:3] == ["V", "J"]


def test_single_label_is_learnt_with_label_smoothing(nlp: Language, tiny: dict[str, Any]) -> None:
    tagger = nlp.add_pipe("lstm_tagger", config={"model": tiny, "label_smoothing": 0.1})
    doc = Doc(nlp.vocab, words=["one", "two"], tags=["X", "X"])
    example = Example(Doc(nlp.vocab, words=["one", "two"]), doc)
    nlp.initialize(lambda: [example])
    assert nlp.update([example]) == {"lstm_tagger": 0.0}
    assert [token.tag_ for token in tagger(nlp.make_doc("one two"))] == ["X", "X"]


@pytest.mark.parametrize("tags", [["-", "-"], ["X", "Y"]])
def test_one_label_in_a_whole_corpus_is_named(
    nlp: Language, tiny: dict[str, Any], tags: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    tagger = nlp.add_pipe("lstm_tagger", name="tags", config={"model": tiny})
    doc = Doc(nlp.vocab, words=["one", "two"], tags=tags)
    with caplog.at_level("WARNING", logger="spacy"):
        logging.getLogger("spacy").addHandler(caplog.handler)
        tagger.initialize(lambda: [Example(Doc(nlp.vocab, words=["one", "two"]), doc)], nlp=nlp)
        logging.getLogger("spacy").removeHandler(caplog.handler)
    assert ("tags: all tokens have the label '-'" in caplog.text) is (tags == ["-", "-"])


def test_initialization_without_data(nlp: Language, tiny: dict[str, Any]) -> None:
    component = nlp.add_pipe("lstm_tagger", config={"model": tiny})
    component.add_label("A")
    component.add_label("B")
    nlp.initialize()
    assert set(predicted(nlp)) <= {"A", "B"}


def test_examples_are_read_once(nlp: Language, examples: list[Example], train: Callable) -> None:
    component = train(nlp).get_pipe("lstm_tagger")
    nlp.resume_training()
    scores, _ = component.model.begin_update([example.x for example in examples])
    assert component.get_loss(iter(examples), scores)[0] > 0
    nlp.update(examples, sgd=SGD(0.1))
    assert component.rehearse(iter(examples))["lstm_tagger"] > 0


def test_initialization_again_forgets(
    nlp: Language, train: Callable, make_examples: Callable
) -> None:
    train(nlp)
    component = nlp.get_pipe("lstm_tagger")
    words = ["one", "two"]
    optimizer = nlp.initialize(lambda: [example(nlp, words, ["NN", "V"])])
    assert component.model.shims[0].vocabulary.words.keys() == {"one", "two"}
    assert nlp.update([example(nlp, words, ["NN", "V"])], sgd=optimizer)["lstm_tagger"] > 0.1


def test_update_before_initialization_is_refused(nlp: Language, examples: list[Example]) -> None:
    nlp.add_pipe("lstm_tagger").add_label("NN")
    with pytest.raises(ValueError, match="initialize"):
        nlp.update(examples, sgd=SGD(0.1))


@pytest.mark.parametrize("texts", EMPTY_AT)
def test_empty_docs_train(
    nlp: Language, tiny: dict[str, Any], examples: list[Example], texts: list[list[str]]
) -> None:
    nlp.add_pipe("lstm_tagger", config={"model": tiny})
    batch = [example(nlp, words, GOLD["tag"][: len(words)]) for words in texts]
    optimizer = nlp.initialize(lambda: [*batch, *examples])
    losses = nlp.update(batch, drop=0.2, sgd=optimizer)
    assert (losses["lstm_tagger"] > 0) == any(texts)


def test_empty_reference_teaches_nothing(
    nlp: Language, tagger: LSTMTagger, weights_of: Callable
) -> None:
    before = weights_of(tagger.model)
    batch = [Example(Doc(nlp.vocab, words=WORDS), Doc(nlp.vocab, words=WORDS))]
    assert nlp.update(batch, sgd=SGD(0.1, L2=0))["lstm_tagger"] == 0
    after = weights_of(tagger.model)
    assert all(numpy.array_equal(before[name], after[name]) for name in before)


def test_component_can_be_initialized_on_an_empty_doc_first(
    nlp: Language, tiny: dict[str, Any], examples: list[Example]
) -> None:
    component = nlp.add_pipe("lstm_tagger", config={"model": tiny})
    nlp.initialize(lambda: [example(nlp, [], []), *examples])
    assert component.labels == ("DET", "NN", "V")
    assert set(predicted(nlp)) <= set(component.labels)


def test_gradients_add_up_around_an_empty_doc(
    nlp: Language, tagger: LSTMTagger, examples: list[Example]
) -> None:
    first, second = examples
    together = gradients(tagger, [first, example(nlp, [], []), second])
    apart = [gradients(tagger, [eg]) for eg in (first, second)]
    assert together.keys() == apart[0].keys()
    for name, gradient in together.items():
        numpy.testing.assert_allclose(gradient, sum(g[name] for g in apart), atol=1e-5)
        assert gradient.any()


@pytest.mark.parametrize("words", ODD_WORDS.values(), ids=ODD_WORDS.keys())
def test_odd_words_are_learnt(nlp: Language, tiny: dict[str, Any], words: list[str]) -> None:
    nlp.add_pipe("lstm_tagger", config={"model": tiny})
    tags = [f"T{i}" for i in range(len(words))]
    batch = [example(nlp, words, tags)]
    learn(nlp, batch, learn_rate=0.1)
    expected = ["_SP" if word.isspace() else tag for word, tag in zip(words, tags, strict=True)]
    assert predicted(nlp, words=words) == expected


def test_rehearsal_brings_back_what_was_known(
    nlp: Language, train: Callable, tiny: dict[str, Any], examples: list[Example]
) -> None:
    train(nlp, label_smoothing=0.1, model={**tiny, "unknown_rate": 0})
    model = nlp.get_pipe("lstm_tagger").model

    def probabilities() -> Floats2d:
        return model.ops.flatten(model.begin_update([eg.predicted for eg in examples])[0])

    known = probabilities()
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 0.01
    for _ in range(10):
        nlp.update([example(nlp, WORDS, ["V"] * 5)], sgd=optimizer)
    drift = numpy.abs(probabilities() - known).sum()
    for _ in range(40):
        losses = nlp.rehearse(examples, sgd=optimizer)
    assert losses["lstm_tagger"] > 0
    assert numpy.abs(probabilities() - known).sum() < drift / 2


def test_rehearsal_needs_resumed_training(nlp: Language, train: Callable) -> None:
    train(nlp)
    batch = [example(nlp, WORDS, GOLD["tag"])]
    assert nlp.get_pipe("lstm_tagger").rehearse(batch, sgd=SGD(0.1)) == {"lstm_tagger": 0.0}


def test_training_leaves_the_rehearsal_model_alone(
    nlp: Language, tagger: LSTMTagger, examples: list[Example], weights_of: Callable
) -> None:
    optimizer = nlp.resume_training()
    before = weights_of(tagger._rehearsal_model)
    nlp.update(examples, sgd=optimizer)
    after, trained = weights_of(tagger._rehearsal_model), weights_of(tagger.model)
    assert all(numpy.array_equal(before[name], after[name]) for name in before)
    assert not any(numpy.array_equal(before[name], trained[name]) for name in before)


def test_resumed_training_adds_to_what_is_known(
    nlp: Language, train: Callable, examples: list[Example]
) -> None:
    train(nlp)
    optimizer = nlp.resume_training()
    words, tags = ["slept", "A", "cat"], ["V", "DET", "NN"]
    assert predicted(nlp) == GOLD["tag"] and predicted(nlp, words=words) != tags
    for _ in range(40):
        nlp.update([example(nlp, words, tags), *examples], sgd=optimizer)
    assert predicted(nlp) == GOLD["tag"] and predicted(nlp, words=words) == tags


@pytest.mark.parametrize("second_seed, same", [(1, True), (2, False)])
def test_seed_decides_the_weights(
    tiny: dict[str, Any],
    make_examples: Callable,
    weights_of: Callable,
    second_seed: int,
    same: bool,
) -> None:
    weights = []
    for seed in (1, second_seed):
        fix_random_seed(seed)
        nlp = spacy.blank("xx")
        component = nlp.add_pipe("lstm_tagger", config={"model": tiny})
        batch = make_examples(nlp)
        optimizer = nlp.initialize(lambda batch=batch: batch)
        for _ in range(3):
            nlp.update(batch, drop=0.2, sgd=optimizer)
        weights.append(weights_of(component.model))
    first, second = weights
    assert all(numpy.array_equal(first[name], second[name]) == same for name in first)


def test_full_dropout_leaves_only_the_bias_to_learn(
    nlp: Language, tagger: LSTMTagger, examples: list[Example], weights_of: Callable
) -> None:
    before = weights_of(tagger.model)
    nlp.update(examples, drop=1.0, sgd=SGD(0.1, L2=0))
    after = weights_of(tagger.model)
    changed = [name for name in before if not numpy.array_equal(before[name], after[name])]
    assert changed == ["0 output.bias"]


def test_dropout_ends_with_the_update(
    nlp: Language, tagger: LSTMTagger, examples: list[Example]
) -> None:
    docs = [eg.predicted for eg in examples]
    before = tagger.model.predict(docs)
    nlp.update(examples, drop=0.9, sgd=False)
    for first, second in zip(before, tagger.model.predict(docs), strict=True):
        assert numpy.array_equal(first, second)
    first, second = (nlp.update(examples, sgd=False)["lstm_tagger"] for _ in range(2))
    assert first == second > 0


def test_averages_reach_the_weights(
    nlp: Language, tagger: LSTMTagger, examples: list[Example], weights_of: Callable
) -> None:
    optimizer = SGD(0.5, use_averages=True)
    initial = weights_of(tagger.model)
    history = []
    for _ in range(3):
        nlp.update(examples, sgd=optimizer)
        history.append(weights_of(tagger.model))
    averages = {f"0 {name}": value for (_, name), value in optimizer.averages.items()}
    with nlp.use_params(optimizer.averages):
        within = weights_of(tagger.model)
    assert within.keys() == averages.keys() == initial.keys()
    for name, value in within.items():
        assert numpy.array_equal(value, averages[name])
        assert not numpy.array_equal(value, history[-1][name])
        assert numpy.array_equal(weights_of(tagger.model)[name], history[-1][name])


def test_averages_are_what_is_saved_and_predicts(
    nlp: Language, tagger: LSTMTagger, examples: list[Example], weights_of: Callable
) -> None:
    optimizer = SGD(0.5, use_averages=True)
    for _ in range(3):
        nlp.update(examples, sgd=optimizer)
    docs = [eg.predicted for eg in examples]
    plain = tagger.model.predict(docs)
    with nlp.use_params(optimizer.averages):
        averaged = tagger.model.predict(docs)
        saved = tagger.model.to_bytes()
    assert not numpy.allclose(plain[0], averaged[0])
    loaded = tagger.model.copy().from_bytes(saved)
    assert numpy.array_equal(loaded.predict(docs)[0], averaged[0])


@pytest.mark.parametrize("of_the_model", [True, False])
def test_weights_come_back_after_an_exception(
    nlp: Language,
    tagger: LSTMTagger,
    examples: list[Example],
    weights_of: Callable,
    of_the_model: bool,
) -> None:
    optimizer = SGD(0.5, use_averages=True)
    nlp.update(examples, sgd=optimizer)
    nlp.update(examples, sgd=optimizer)
    before = weights_of(tagger.model)
    use_params = tagger.model.use_params if of_the_model else nlp.use_params
    with suppress(KeyError), use_params(optimizer.averages):
        within = weights_of(tagger.model)
        raise KeyError
    after = weights_of(tagger.model)
    assert not any(numpy.array_equal(before[name], within[name]) for name in before)
    assert all(numpy.array_equal(before[name], after[name]) for name in before)


def test_crf_learns_with_missing_and_denied_labels(nlp: Language, tiny: dict) -> None:
    examples = [
        example(nlp, ["a", "b", "c"], ["A", "", "C"]),
        example(nlp, ["b", "c"], ["B", "C"]),
        example(nlp, ["b"], ["!A"]),
    ]
    nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "crf": True}})
    learn(nlp, examples)
    assert predicted(nlp, words=["a", "b", "c"]) == ["A", "B", "C"]


def test_crf_knows_what_follows_what(nlp: Language, tiny: dict) -> None:
    """Where words say nothing, the transitions must: labels take turns."""
    model = {**tiny, "crf": True, "affixes": False, "character_lstm_width": 0}
    nlp.add_pipe("lstm_tagger", config={"model": model})
    learn(nlp, [example(nlp, ["x"] * 6, list("ABABAB")), example(nlp, ["x"] * 5, list("BABAB"))])
    transitions = nlp.get_pipe("lstm_tagger").model.get_param("transitions")
    assert transitions[0, 1] > transitions[0, 0]
    assert transitions[1, 0] > transitions[1, 1]
    tags = predicted(nlp, words=["x"] * 9)
    assert all(a != b for a, b in pairwise(tags))


@pytest.mark.parametrize("n_labels", [2, 10])
@pytest.mark.parametrize("crf", [False, True])
def test_another_number_of_outputs_than_labels_is_refused(
    nlp: Language, examples: list[Example], tiny: dict[str, Any], n_labels: int, crf: bool
) -> None:
    model = {**tiny, "nO": n_labels, "crf": crf}
    nlp.add_pipe("lstm_tagger", config={"model": model})
    with pytest.raises(ValueError, match=f"nO = {n_labels} is not the number of labels, 3"):
        nlp.initialize(lambda: examples)
