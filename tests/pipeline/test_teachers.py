"""Tests of `teachers.py`: what a component learns from trained ones."""

import copy
import pickle
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
from spacy.util import load_model_from_config
from thinc.api import Config, fix_random_seed

from spacy_lstm_tagger.pipeline.labels import FACTORIES
from spacy_lstm_tagger.pipeline.tagger import LSTMTagger
from spacy_lstm_tagger.pipeline.teachers import SHARE, Teachers

TEXTS = ["The dog ate the apple", "Everybody read that book", "The book", "Everybody ate"]
CRFS = [False, True]


def raw(nlp: Language) -> list[Example]:
    """Examples without any annotation."""
    docs = [Doc(nlp.vocab, words=text.split()) for text in TEXTS]
    return [Example(doc, doc.copy()) for doc in docs]


def add_pupil(
    nlp: Language, tiny: dict[str, Any], attribute: str = "tag", **config: Any
) -> LSTMTagger:
    fix_random_seed(0)
    return nlp.add_pipe(FACTORIES[attribute], config={"model": tiny, **config})


def learn(nlp: Language, examples: list[Example]) -> None:
    """Train a pipeline until it knows the examples."""
    optimizer = nlp.create_optimizer()
    optimizer.learn_rate = 0.03
    for _ in range(60):
        nlp.update(examples, sgd=optimizer)


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
    learn(nlp, examples)
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
    assert_allclose(own, theirs, atol=0.05)


def test_the_gradient_leads_to_the_mean_of_teachers_and_gold(
    nlp: Language, tiny: dict, saved_pipeline: Path, other_pipeline: Path
) -> None:
    pupil = add_pupil(nlp, tiny, label_smoothing=0.06)
    words = ["The", "dog", "ate", "it", "too"]
    reference = Doc(nlp.vocab, words=words)
    for i, tag in ((0, "DET"), (1, "NN"), (3, "X"), (4, "!NN")):  # no teacher knows X
        reference[i].tag_ = tag
    example = Example(Doc(nlp.vocab, words=words), reference)
    paths = [saved_pipeline, other_pipeline]
    pupil.initialize(lambda: [example], nlp=nlp, teachers=paths)
    assert pupil.labels == ("DET", "NN", "V", "X")
    means = 0
    for path in paths:
        tagger = spacy.load(path).components[0][1]
        (found,) = tagger.predict_probabilities([Doc(tagger.vocab, words=words)])
        means = means + in_order_of(found, tagger.labels, pupil.labels) / 2
    means = 0.94 * means + 0.02 * (1 - means)
    gold = numpy.full((5, 4), 0.02)
    for i, label in ((0, "DET"), (1, "NN"), (3, "X")):
        gold[i, pupil.labels.index(label)] = 0.94
    shares = numpy.asarray([[SHARE], [SHARE], [1], [0], [0]])
    (scores,) = pupil.model.predict([example.predicted])
    probabilities = numpy.exp(scores) / numpy.exp(scores).sum(axis=1, keepdims=True)
    expected = probabilities - ((1 - shares) * gold + shares * means)
    expected[4] = [0, probabilities[4, 1], 0, 0]
    loss, (gradient,) = pupil.get_loss([example], [probabilities])
    assert_allclose(gradient, expected, atol=1e-6)
    assert loss == pytest.approx((gradient**2).sum())
    assert gradient.dtype == "float32"


def test_gold_labels_win_over_a_teacher_that_is_sure(
    nlp: Language, tiny: dict, saved_pipeline: Path
) -> None:
    pupil = add_pupil(nlp, tiny)
    words, tags = ["The", "dog"], ["DET", "V"]
    reference = Doc(nlp.vocab, words=words, tags=tags)
    examples = [Example(Doc(nlp.vocab, words=words), reference)]
    pupil.initialize(lambda: examples, nlp=nlp, teachers=[saved_pipeline])
    learn(nlp, examples)
    assert [token.tag_ for token in nlp(Doc(nlp.vocab, words=words))] == tags


def in_order_of(values: numpy.ndarray, labels: tuple, others: tuple) -> numpy.ndarray:
    """Return values whose columns are in another order; zeros where there is none."""
    columns = [
        values[:, labels.index(one)] if one in labels else values[:, 0] * 0 for one in others
    ]
    return numpy.stack(columns, axis=1)


@pytest.mark.parametrize("attribute", ["tag", "pos", "morph"])
def test_a_pupil_with_a_crf_learns_any_attribute_of_a_teacher_with_one(
    nlp: Language, train: Callable, tiny: dict, tmp_path: Path, attribute: str
) -> None:
    with_crf = {**tiny, "crf": True}
    teacher = train(spacy.blank("xx"), attribute=attribute, model=with_crf)
    teacher.to_disk(tmp_path / "teacher")
    pupil = add_pupil(nlp, with_crf, attribute=attribute)
    examples = raw(nlp)
    pupil.initialize(lambda: examples, nlp=nlp, teachers=[tmp_path / "teacher"])
    learn(nlp, examples)
    for text in TEXTS:
        theirs, own = (one(Doc(one.vocab, words=text.split())) for one in (teacher, nlp))
        for name in ("tag_", "pos_", "morph"):
            values = [[str(getattr(token, name)) for token in doc] for doc in (own, theirs)]
            assert values[0] == values[1]


def test_a_teacher_can_listen_to_an_encoder_of_any_name(
    shared_config: Config, make_examples: Callable, tmp_path: Path
) -> None:
    text = shared_config.to_str().replace('"tok2vec"', '"encoder"')
    text = text.replace("components.tok2vec", "components.encoder").replace(
        'factory = "encoder"', 'factory = "tok2vec"'
    )
    config = Config().from_str(text.replace('upstream = "encoder"', 'upstream = "*"'))
    nlp = load_model_from_config(config, auto_fill=True)
    nlp.initialize(lambda: make_examples(nlp))
    nlp.to_disk(tmp_path / "teacher")
    doc = Doc(nlp.vocab, words=["The", "dog"])
    (found,) = Teachers([tmp_path / "teacher"], "tag").probabilities(
        [doc], nlp.get_pipe("tags").labels
    )
    nlp.get_pipe("encoder")(doc)
    assert_allclose(found, nlp.get_pipe("tags").predict_probabilities([doc])[0], atol=1e-5)


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


def test_a_label_that_is_the_only_one_is_certain(nlp: Language, tiny: dict, tmp_path: Path) -> None:
    teacher = spacy.blank("xx")
    only = Example.from_dict(Doc(teacher.vocab, words=["dog"]), {"tags": ["NN"]})
    add_pupil(teacher, tiny).initialize(lambda: [only], nlp=teacher)
    teacher.to_disk(tmp_path / "teacher")
    pupil = add_pupil(nlp, tiny)
    pupil.initialize(lambda: raw(nlp), nlp=nlp, teachers=[tmp_path / "teacher"])
    certain = [numpy.ones((len(example.x), 1), dtype="float32") for example in raw(nlp)]
    assert pupil.get_loss(raw(nlp), certain)[0] == 0


def test_copies_have_the_same_teachers_and_other_processes_none(
    nlp: Language, tiny: dict, saved_pipeline: Path, tmp_path: Path
) -> None:
    pupil = add_pupil(nlp, tiny)
    pupil.initialize(lambda: raw(nlp), nlp=nlp, teachers=[saved_pipeline])
    assert copy.deepcopy(pupil)._teachers is pupil._teachers is not None
    assert pickle.loads(pickle.dumps(pupil))._teachers is None


def test_what_is_loaded_has_no_teachers(
    nlp: Language, tiny: dict, saved_pipeline: Path, train: Callable
) -> None:
    pupil = add_pupil(nlp, tiny)
    pupil.initialize(lambda: raw(nlp), nlp=nlp, teachers=[saved_pipeline])
    pupil.from_disk(saved_pipeline / "lstm_tagger")
    probabilities = pupil.predict_probabilities([example.predicted for example in raw(nlp)])
    assert pupil.get_loss(raw(nlp), probabilities)[0] == 0


def test_teachers_that_are_refused_do_not_teach(
    nlp: Language, train: Callable, saved_pipeline: Path
) -> None:
    pupil = train(nlp).get_pipe("lstm_tagger")
    probabilities = pupil.predict_probabilities([example.predicted for example in raw(nlp)])
    with pytest.raises(ValueError, match="labels"):
        pupil.initialize(lambda: raw(nlp), labels=["", 3], teachers=[saved_pipeline])
    assert pupil.get_loss(raw(nlp), probabilities)[0] == 0


def test_labels_that_come_while_it_is_taught_are_learnt(
    nlp: Language, tiny: dict, saved_pipeline: Path
) -> None:
    pupil = add_pupil(nlp, tiny, new_labels="add")
    pupil.initialize(lambda: raw(nlp), nlp=nlp, teachers=[saved_pipeline])
    reference = Doc(nlp.vocab, words=["The", "dog"], tags=["DET", "RARE"])
    examples = [*raw(nlp), Example(Doc(nlp.vocab, words=["The", "dog"]), reference)]
    learn(nlp, examples)
    assert [token.tag_ for token in nlp(Doc(nlp.vocab, words=["The", "dog"]))] == ["DET", "RARE"]


def test_labels_that_are_listed_must_be_those_of_the_teachers(
    nlp: Language, tiny: dict, saved_pipeline: Path
) -> None:
    pupil = add_pupil(nlp, tiny)
    with pytest.raises(ValueError, match=r"lstm_tagger: its teachers have labels .*: DET, V\. "):
        pupil.initialize(lambda: raw(nlp), labels=["NN", "X"], teachers=[saved_pipeline])


@pytest.mark.parametrize(
    ("teachers", "message"),
    [
        ("nowhere", "teachers must be a list of pipelines, not 'nowhere'"),
        (Path("nowhere"), "teachers must be a list of pipelines, not 'nowhere'"),
        ([], "teachers is an empty list"),
        (["nowhere"], "the teacher 'nowhere' can't be loaded: .*E050"),
    ],
)
def test_teachers_that_are_none_are_refused(
    nlp: Language, tiny: dict, teachers: Any, message: str
) -> None:
    pupil = add_pupil(nlp, tiny)
    with pytest.raises(ValueError, match=f"lstm_tagger: {message}"):
        pupil.initialize(lambda: raw(nlp), teachers=teachers)


def test_a_teacher_of_another_attribute_is_refused(
    nlp: Language, tiny: dict, saved_pipeline: Path
) -> None:
    pupil = add_pupil(nlp, tiny, attribute="morph")
    message = (
        "lstm_morph_tagger: the teacher .* no lstm_tagger with attribute = 'morph'; .*: lstm_tagger"
    )
    with pytest.raises(ValueError, match=message):
        pupil.initialize(lambda: raw(nlp), teachers=[saved_pipeline])
