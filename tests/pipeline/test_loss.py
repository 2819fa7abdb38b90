"""Tests of `loss.py`: what the component learns from soft labels, alone and beside gold ones."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest
import spacy
from numpy.testing import assert_allclose
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_lstm_tagger.pipeline.distillation import Teacher, Teachers
from spacy_lstm_tagger.pipeline.loss import SHARE
from spacy_lstm_tagger.pipeline.soft_labels import soft_labels, store

TEXTS = ["The dog ate the apple", "Everybody read that book", "The book", "Everybody ate"]
FACTORIES = {"tag": "lstm_tagger", "pos": "lstm_pos_tagger", "morph": "lstm_morph_tagger"}


def add_pupil(nlp: Language, model: dict[str, Any], attribute: str = "tag", **config: Any) -> Any:
    fix_random_seed(0)
    return nlp.add_pipe(FACTORIES[attribute], config={"model": model, **config})


def labelled(nlp: Language, teacher: Language, words: str, **gold: Any) -> Example:
    """An Example whose reference Doc a teacher labelled."""
    reference = Doc(nlp.vocab, words=words.split(), **gold)
    Teachers([Teacher(teacher)]).label([reference])
    return Example(Doc(nlp.vocab, words=words.split()), reference)


def learn(nlp: Language, examples: list[Example]) -> None:
    """Train a pipeline until it knows the examples."""
    optimizer = nlp.create_optimizer()
    optimizer.learn_rate = 0.03
    for _ in range(60):
        nlp.update(examples, sgd=optimizer)


@pytest.fixture(scope="session")
def teacher(train: Callable) -> Language:
    return train(spacy.blank("xx"))


@pytest.mark.parametrize("crf", [False, True])
def test_a_pupil_learns_from_raw_text_what_its_teacher_knows(
    nlp: Language, tiny: dict, teacher: Language, crf: bool
) -> None:
    pupil = add_pupil(nlp, {**tiny, "crf": crf})
    examples = [labelled(nlp, teacher, text) for text in TEXTS]
    pupil.initialize(lambda: examples, nlp=nlp)
    assert set(pupil.labels) == set(teacher.get_pipe("lstm_tagger").labels)
    learn(nlp, examples)
    for text in TEXTS:
        own, theirs = (one(Doc(one.vocab, words=text.split())) for one in (nlp, teacher))
        assert [t.tag_ for t in own] == [t.tag_ for t in theirs]
    # Not only their labels, but how sure they are of them.
    soft = soft_labels(examples[2].reference, "tag")
    (own,) = pupil.predict_probabilities([examples[2].predicted])
    assert_allclose(own, soft.dense(pupil.labels), atol=0.05)


@pytest.mark.parametrize("attribute", ["pos", "morph"])
def test_a_pupil_with_a_crf_learns_other_attributes(
    nlp: Language, make_examples: Callable, tiny: dict, attribute: str
) -> None:
    teacher = spacy.blank("xx")
    add_pupil(teacher, tiny, attribute)
    gold = make_examples(teacher)
    teacher.initialize(lambda: gold)
    learn(teacher, gold)
    pupil = add_pupil(nlp, {**tiny, "crf": True}, attribute)
    examples = [labelled(nlp, teacher, text) for text in TEXTS]
    pupil.initialize(lambda: examples, nlp=nlp)
    learn(nlp, examples)
    for text in TEXTS:
        own, theirs = (one(Doc(one.vocab, words=text.split())) for one in (nlp, teacher))
        assert [(t.pos_, str(t.morph)) for t in own] == [(t.pos_, str(t.morph)) for t in theirs]


def test_the_gradient_leads_to_the_mean_of_soft_labels_and_gold(
    nlp: Language, tiny: dict, teacher: Language
) -> None:
    pupil = add_pupil(nlp, tiny, label_smoothing=0.06)
    tags = ["DET", "NN", "", "X", "!NN"]  # the teacher doesn't know X
    example = labelled(nlp, teacher, "The dog ate it too", tags=tags)
    pupil.initialize(lambda: [example], nlp=nlp)
    assert pupil.labels == ("DET", "NN", "V", "X")
    taught = soft_labels(example.reference, "tag").dense(pupil.labels)
    gold = numpy.full((5, 4), 0.02)
    for i, label in ((0, "DET"), (1, "NN"), (3, "X")):
        gold[i, pupil.labels.index(label)] = 0.94
    shares = numpy.asarray([[SHARE], [SHARE], [1], [0], [0]])
    (scores,) = pupil.model.predict([example.predicted])
    probabilities = numpy.exp(scores) / numpy.exp(scores).sum(axis=1, keepdims=True)
    expected = probabilities - ((1 - shares) * gold + shares * taught)
    expected[4] = [0, probabilities[4, 1], 0, 0]
    loss, (gradient,) = pupil.get_loss([example], [probabilities])
    assert_allclose(gradient, expected, atol=1e-6)
    assert loss == pytest.approx((gradient**2).sum())
    assert gradient.dtype == "float32"


def test_gold_labels_win_over_a_teacher_that_is_sure(
    nlp: Language, tiny: dict, teacher: Language
) -> None:
    pupil = add_pupil(nlp, tiny)
    examples = [labelled(nlp, teacher, "The dog", tags=["DET", "V"])]
    pupil.initialize(lambda: examples, nlp=nlp)
    learn(nlp, examples)
    assert [token.tag_ for token in nlp(Doc(nlp.vocab, words=["The", "dog"]))] == ["DET", "V"]


def test_docs_with_soft_labels_and_docs_without_in_one_batch(
    nlp: Language, tiny: dict, teacher: Language
) -> None:
    pupil = add_pupil(nlp, tiny)
    first = labelled(nlp, teacher, "The dog")
    second = Example.from_dict(Doc(nlp.vocab, words=["dog"]), {"tags": ["NN"]})
    third = Example(Doc(nlp.vocab, words=["raw", "text"]), Doc(nlp.vocab, words=["raw", "text"]))
    empty = Example(Doc(nlp.vocab), Doc(nlp.vocab))
    examples = [first, second, third, empty]
    pupil.initialize(lambda: examples, nlp=nlp)
    scores = pupil.predict_probabilities([example.predicted for example in examples])
    _, gradients = pupil.get_loss(examples, scores)
    assert [bool(numpy.any(gradient)) for gradient in gradients] == [True, True, False, False]
    alone = [pupil.get_loss([e], [s])[1][0] for e, s in zip(examples[:2], scores, strict=False)]
    assert_allclose(gradients[0], alone[0])
    assert_allclose(gradients[1], alone[1])


def test_a_label_that_is_the_only_one_is_certain(nlp: Language, tiny: dict) -> None:
    pupil = add_pupil(nlp, tiny)
    reference = Doc(nlp.vocab, words=["dog"])
    store(reference, "tag", ["NN"], numpy.ones((1, 1), dtype="f"))
    examples = [Example(Doc(nlp.vocab, words=["dog"]), reference)]
    pupil.initialize(lambda: examples, nlp=nlp)
    assert pupil.get_loss(examples, [numpy.ones((1, 1), dtype="f")])[0] == 0


@pytest.mark.parametrize("new_labels", ["add", "refuse"])
def test_soft_labels_that_the_component_lacks(
    nlp: Language, tiny: dict, teacher: Language, new_labels: str
) -> None:
    pupil = add_pupil(nlp, tiny, new_labels=new_labels)
    pupil.initialize(lambda: [labelled(nlp, teacher, "The dog")], nlp=nlp, labels=["NN", "V"])
    examples = [labelled(nlp, teacher, text) for text in TEXTS]
    if new_labels == "refuse":
        with pytest.raises(ValueError, match=r"lstm_tagger: .* the component lacks: DET\. "):
            nlp.update(examples)
        return
    learn(nlp, examples)
    assert pupil.labels == ("NN", "V", "DET")
    assert [token.tag_ for token in nlp(Doc(nlp.vocab, words=["The", "dog"]))] == ["DET", "NN"]


def test_a_component_of_another_attribute_has_nothing_to_learn(
    nlp: Language, tiny: dict, teacher: Language
) -> None:
    pupil = add_pupil(nlp, tiny, "morph")
    with pytest.raises(ValueError, match="no morph found in the training examples"):
        pupil.initialize(lambda: [labelled(nlp, teacher, "The dog")])
