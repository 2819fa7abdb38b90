"""Tests of `teachers.py`: what a component learns from trained ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from numpy.testing import assert_allclose
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_lstm_tagger.pipeline.tagger import LSTMTagger
from spacy_lstm_tagger.pipeline.teachers import SHARE, Teachers

TEXTS = ["The dog ate the apple", "Everybody read that book", "The book", "Everybody ate"]
CRFS = [False, True]


def raw(nlp: Language) -> list[Example]:
    """Examples without any annotation."""
    docs = [Doc(nlp.vocab, words=text.split()) for text in TEXTS]
    return [Example(doc, doc.copy()) for doc in docs]


def add_pupil(nlp: Language, tiny: dict[str, Any], **config: Any) -> LSTMTagger:
    fix_random_seed(0)
    return nlp.add_pipe("lstm_tagger", config={"model": tiny, **config})


@pytest.fixture
def other_pipeline(train: Callable, tmp_path: Path) -> Path:
    """The path of a pipeline that knows the labels of another attribute as well."""
    nlp = train(spacy.blank("xx"), name="first", label_smoothing=0.3)
    train(nlp, name="second", attribute="pos").to_disk(tmp_path / "other")
    return tmp_path / "other"


@pytest.fixture
def shared_pipeline(shared: Language, make_examples: Callable, tmp_path: Path) -> Path:
    """The path of a pipeline whose taggers listen to one encoder."""
    examples = make_examples(shared)
    optimizer = shared.initialize(lambda: examples)
    for _ in range(3):
        shared.update(examples, sgd=optimizer)
    shared.to_disk(tmp_path / "shared")
    return tmp_path / "shared"


@pytest.mark.parametrize("crf", CRFS)
def test_a_pupil_learns_from_raw_text_what_its_teacher_knows(
    nlp: Language, tiny: dict, saved_pipeline: Path, crf: bool
) -> None:
    pupil = add_pupil(nlp, {**tiny, "crf": crf})
    examples = raw(nlp)
    pupil.initialize(lambda: examples, nlp=nlp, teachers=[saved_pipeline])
    teacher = spacy.load(saved_pipeline)
    assert set(pupil.labels) == set(teacher.get_pipe("lstm_tagger").labels)
    optimizer = nlp.create_optimizer()
    optimizer.learn_rate = 0.03
    for _ in range(60):
        nlp.update(examples, sgd=optimizer)
    for text in TEXTS:
        theirs = teacher(Doc(teacher.vocab, words=text.split()))
        own = nlp(Doc(nlp.vocab, words=text.split()))
        assert [t.tag_ for t in own] == [t.tag_ for t in theirs]
    # Not only their labels, but how sure they are of them.
    docs = [Doc(vocab, words=["The", "book"]) for vocab in (nlp.vocab, teacher.vocab)]
    own, theirs = (
        pipe.predict_probabilities([doc])[0][:, [pipe.labels.index("NN")]]
        for pipe, doc in zip((pupil, teacher.get_pipe("lstm_tagger")), docs, strict=True)
    )
    assert_allclose(own, theirs, atol=0.15)


def test_the_gradient_leads_to_the_mean_of_teachers_and_gold(
    nlp: Language, tiny: dict, saved_pipeline: Path, other_pipeline: Path
) -> None:
    pupil = add_pupil(nlp, tiny, label_smoothing=0.0)
    words = ["The", "dog", "ate", "it"]
    reference = Doc(nlp.vocab, words=words, tags=["DET", "NN", "", ""])
    reference[3].tag_ = "X"
    example = Example(Doc(nlp.vocab, words=words), reference)
    paths = [saved_pipeline, other_pipeline]
    pupil.initialize(lambda: [example], nlp=nlp, teachers=paths)
    means = 0
    for path in paths:
        tagger = spacy.load(path).components[0][1]
        (found,) = tagger.predict_probabilities([Doc(tagger.vocab, words=words)])
        means = means + in_order_of(found, tagger.labels, pupil.labels) / 2
    gold = numpy.zeros((4, len(pupil.labels)))
    for i, label in ((0, "DET"), (1, "NN"), (3, "X")):
        gold[i, pupil.labels.index(label)] = 1
    shares = numpy.asarray([[SHARE], [SHARE], [1], [SHARE]])
    target = (1 - shares) * gold + shares * means
    (scores,) = pupil.model.predict([example.predicted])
    probabilities = numpy.exp(scores) / numpy.exp(scores).sum(axis=1, keepdims=True)
    loss, (gradient,) = pupil.get_loss([example], [probabilities])
    assert_allclose(gradient, probabilities - target, atol=1e-6)
    assert loss == pytest.approx((gradient**2).sum())
    assert gradient.dtype == "float32"


def in_order_of(values: numpy.ndarray, labels: tuple, others: tuple) -> numpy.ndarray:
    """Return values whose columns are in another order; zeros where there is none."""
    columns = [
        values[:, labels.index(one)] if one in labels else values[:, 0] * 0 for one in others
    ]
    return numpy.stack(columns, axis=1)


def test_a_teacher_can_listen_to_an_encoder(shared_pipeline: Path) -> None:
    teachers = Teachers([shared_pipeline], "pos")
    nlp = spacy.load(shared_pipeline)
    labels = nlp.get_pipe("parts").labels
    docs = [Doc(nlp.vocab, words=text.split()) for text in TEXTS]
    found = teachers.probabilities(docs, labels)
    expected = [nlp(doc) and nlp.get_pipe("parts").predict_probabilities([doc])[0] for doc in docs]
    for own, theirs in zip(found, expected, strict=True):
        assert_allclose(own, theirs, atol=1e-5)


def test_a_teacher_is_the_first_component_of_the_attribute(other_pipeline: Path) -> None:
    nlp = spacy.load(other_pipeline)
    for name, attribute in (("first", "tag"), ("second", "pos")):
        assert Teachers([other_pipeline], attribute).labels == set(nlp.get_pipe(name).labels)


def test_docs_stay_as_they_are(nlp: Language, saved_pipeline: Path) -> None:
    docs = [Doc(nlp.vocab, words=["The", "dog"], spaces=[True, False]), Doc(nlp.vocab)]
    teachers = Teachers([saved_pipeline], "tag")
    found = teachers.probabilities(docs, sorted(teachers.labels))
    assert [values.shape for values in found] == [(2, 3), (0, 3)]
    assert_allclose(found[0].sum(axis=1), 1, atol=1e-5)
    assert not docs[0].has_annotation("TAG")
    assert teachers.probabilities([], sorted(teachers.labels)) == []


def test_teachers_are_gone_after_the_training(
    nlp: Language, tiny: dict, saved_pipeline: Path, tmp_path: Path
) -> None:
    pupil = add_pupil(nlp, tiny)
    pupil.initialize(lambda: raw(nlp), nlp=nlp, teachers=[saved_pipeline])
    nlp.to_disk(tmp_path / "saved")
    loaded = spacy.load(tmp_path / "saved").get_pipe("lstm_tagger")
    examples = raw(loaded)
    probabilities = loaded.predict_probabilities([example.predicted for example in examples])
    loss, _ = loaded.get_loss(examples, probabilities)
    assert loss == 0 < pupil.get_loss(raw(nlp), probabilities)[0]
    tagged = Example.from_dict(nlp.make_doc("dog"), {"tags": ["NN"]})
    pupil.initialize(lambda: [tagged], nlp=nlp)
    assert pupil.get_loss(raw(nlp), probabilities)[0] == 0


def test_labels_that_are_listed_must_be_those_of_the_teachers(
    nlp: Language, tiny: dict, saved_pipeline: Path
) -> None:
    pupil = add_pupil(nlp, tiny)
    with pytest.raises(ValueError, match=r"lstm_tagger: its teachers have labels .*: DET, V\. "):
        pupil.initialize(lambda: raw(nlp), labels=["NN", "X"], teachers=[saved_pipeline])


@pytest.mark.parametrize(
    ("attribute", "folder", "message"),
    [
        ("tag", "nowhere", "the teacher 'nowhere' can't be loaded: .*E050"),
        ("morph", None, "has no lstm_tagger with attribute = 'morph'; .*: lstm_tagger"),
    ],
)
def test_a_teacher_that_is_none_is_refused(
    nlp: Language, tiny: dict, saved_pipeline: Path, attribute: str, folder: Any, message: str
) -> None:
    pupil = add_pupil(nlp, tiny, attribute=attribute)
    with pytest.raises(ValueError, match=f"lstm_tagger: .*{message}"):
        pupil.initialize(lambda: raw(nlp), teachers=[folder or saved_pipeline])
