"""Tests of `architectures.py`: registered names, and the contract of the models."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import fields, replace
from importlib.metadata import distribution
from inspect import signature
from typing import Any

import catalogue
import numpy
import pytest
import spacy
from numpy.testing import assert_allclose
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import Adam, Linear, chain, set_dropout_rate, with_array

import spacy_lstm_tagger
from spacy_lstm_tagger.model.architectures import LSTMListener, LSTMTagger, LSTMTok2Vec
from spacy_lstm_tagger.model.shim import network_of
from spacy_lstm_tagger.model.types import DocModel, Floats2d

MakeDocs = Callable[..., list[Doc]]
MakeModel = Callable[..., DocModel]

ARCHITECTURES = [LSTMTagger, LSTMTok2Vec]
ENTRY_POINTS = [
    entry_point
    for entry_point in distribution("spacy-lstm-tagger").entry_points
    if entry_point.group.startswith("spacy_")
]


def assert_close(found: list[Floats2d], expected: list[Floats2d], tolerance: float = 1e-6) -> None:
    for array, other in zip(found, expected, strict=True):
        assert_allclose(array, other, rtol=0, atol=tolerance)


def namespace_of(group: str) -> str:
    """Return the name of spaCy's registry for a group of entry points."""
    return group.removeprefix("spacy_").replace("factories", "internal_factories")


def test_entry_points_equal_registered_names() -> None:
    for module in pkgutil.walk_packages(spacy_lstm_tagger.__path__, "spacy_lstm_tagger."):
        importlib.import_module(module.name)
    registered = {
        keys[1:]
        for keys, function in catalogue.REGISTRY.items()
        if getattr(function, "__module__", "").startswith("spacy_lstm_tagger.")
    }
    named = {(namespace_of(entry.group), entry.name) for entry in ENTRY_POINTS}
    assert registered == {name for name in named if name[0] != "cli"}  # no decorator names commands
    assert {
        ("architectures", f"spacy-lstm-tagger.{a.__name__}.v1")
        for a in (*ARCHITECTURES, LSTMListener)
    } < (registered)


@pytest.mark.parametrize("entry_point", ENTRY_POINTS, ids=lambda entry_point: entry_point.name)
def test_spacy_resolves_every_name(entry_point: Any) -> None:
    if entry_point.group == "spacy_factories":
        assert Language.get_factory_meta(entry_point.name).factory == entry_point.name
        assert spacy.blank("en").create_pipe(entry_point.name).name == entry_point.name
    else:
        found = registry.get(namespace_of(entry_point.group), entry_point.name)
        assert found is entry_point.load()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_defaults_make_a_model(architecture: Callable[..., DocModel]) -> None:
    name = f"spacy-lstm-tagger.{architecture.__name__}.v1"
    assert registry.resolve({"model": {"@architectures": name}})["model"].name


@pytest.mark.parametrize(
    "settings, width",
    [({}, 46), ({"bidirectional": False}, 14), ({"include_static_vectors": True}, 64)],
)
def test_tok2vec_is_as_wide_as_documented(
    make_model: MakeModel,
    docs: list[Doc],
    widths: dict[str, int],
    settings: dict[str, Any],
    width: int,
) -> None:
    assert LSTMTok2Vec(**widths, **settings).get_dim("nO") == width
    model = make_model(LSTMTok2Vec, **settings)
    assert model.get_dim("nO") == width
    assert {vectors.shape[1] for vectors in model.predict(docs)} == {width}


@pytest.mark.parametrize("nO", [None, 2])
def test_tagger_has_one_output_per_label(make_model: MakeModel, docs: list[Doc], nO: int) -> None:
    assert LSTMTagger(nO=nO).has_dim("nO") == (None if nO is None else True)
    model = make_model(n_labels=2, nO=nO)
    assert model.get_dim("nO") == 2
    assert {scores.shape[1] for scores in model.predict(docs)} == {2}


@pytest.mark.parametrize("crf", [False, True])
def test_another_number_of_labels_than_in_the_config_is_refused(
    make_model: MakeModel, crf: bool
) -> None:
    with pytest.raises(ValueError, match="nO = 5 is not the number of labels, 3"):
        make_model(nO=5, crf=crf)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_settings_and_defaults_are_those_of_the_config(
    architecture: Callable[..., DocModel],
) -> None:
    (shim,) = architecture().shims
    defaults = {field.name: field.default for field in fields(shim.config)}
    parameters = signature(architecture).parameters
    assert {name: parameters[name].default for name in defaults} == defaults
    changed = architecture(depth=2, window_length=9).shims[0].config
    assert changed == replace(shim.config, depth=2, window_length=9)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bad_settings_are_refused_by_name(architecture: Callable[..., DocModel]) -> None:
    with pytest.raises(ValueError, match="depth = 4 must be from 1 to 3"):
        architecture(depth=4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("setting", ["precision", "output_width", "static_vector_width"])
def test_unknown_settings_are_refused(architecture: Callable[..., DocModel], setting: str) -> None:
    with pytest.raises(TypeError, match=setting):
        architecture(**{setting: 1})


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_settings_are_keyword_only(architecture: Callable[..., DocModel]) -> None:
    with pytest.raises(TypeError):
        architecture(96)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(
    "settings",
    [
        {"depth": 1, "unknown_rate": 0.0},
        {"depth": 3, "unknown_rate": 1.0},
        {"character_lstm_width": 0, "window_length": 1},
        {"word_width": 1, "character_width": 1, "character_lstm_width": 1, "lstm_width": 1},
    ],
)
def test_settings_at_the_limit_are_accepted(
    make_model: MakeModel,
    docs: list[Doc],
    architecture: Callable[..., DocModel],
    settings: dict[str, Any],
) -> None:
    model = make_model(architecture, **settings)
    _, backprop = model.begin_update(docs)
    backprop(model.predict(docs))
    assert all(numpy.isfinite(output).all() for output in model.predict(docs))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("is_train", [False, True])
def test_each_doc_gets_one_row_per_token(
    make_model: MakeModel,
    docs: list[Doc],
    architecture: Callable[..., DocModel],
    is_train: bool,
    variant: dict[str, Any],
) -> None:
    model = make_model(architecture, **variant)
    outputs, _ = model(docs, is_train)
    assert [output.shape for output in outputs] == [(len(d), model.get_dim("nO")) for d in docs]
    assert {output.dtype for output in outputs} == {numpy.dtype("float32")}


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_tagger_returns_probabilities_in_training(
    make_model: MakeModel, docs: list[Doc], dropout: float
) -> None:
    model = make_model(unknown_rate=0.5)
    set_dropout_rate(model, dropout)
    probabilities = numpy.concatenate(model.begin_update(docs)[0])
    assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert (probabilities > 0).all()


def test_tagger_returns_scores_in_prediction(make_model: MakeModel, docs: list[Doc]) -> None:
    scores = numpy.concatenate(make_model().predict(docs))
    assert (scores < 0).any()
    assert (numpy.abs(scores.sum(axis=1) - 1) > 0.01).any()


def test_softmax_of_scores_equals_probabilities(
    make_model: MakeModel, docs: list[Doc], variant: dict[str, Any]
) -> None:
    model = make_model(**{**variant, "window_length": 32})
    exponentials = [numpy.exp(scores) for scores in model.predict(docs)]
    expected = [e / e.sum(axis=1, keepdims=True) for e in exponentials]
    assert_close(model.begin_update(docs)[0], expected)


def test_tok2vec_returns_the_same_vectors_in_training(
    make_model: MakeModel, docs: list[Doc], variant: dict[str, Any]
) -> None:
    model = make_model(LSTMTok2Vec, **{**variant, "window_length": 32})
    assert_close(model.begin_update(docs)[0], model.predict(docs))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_static_vectors_must_be_there(
    make_model: MakeModel, architecture: Callable[..., DocModel]
) -> None:
    docs = [Doc(Vocab(), words=["a", "dog"])]
    with pytest.raises(ValueError, match="include_static_vectors = true needs word vectors"):
        make_model(architecture, docs, include_static_vectors=True)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_static_vectors_distinguish_unknown_words(
    make_model: MakeModel,
    make_docs: MakeDocs,
    docs: list[Doc],
    architecture: Callable[..., DocModel],
) -> None:
    settings = {"affixes": False, "character_lstm_width": 0}
    docs[0].vocab.vectors = Vectors(
        strings=docs[0].vocab.strings, data=numpy.eye(2, dtype="float32"), keys=["gnu", "dog"]
    )
    model = make_model(architecture, **settings, include_static_vectors=True)
    other = make_model(architecture, **settings, include_static_vectors=False)
    new = make_docs("gnu", "gnat", "newt")
    gnu, gnat, newt = model.predict(new)
    assert (gnu != gnat).any()
    assert_close([gnat], [newt])
    gnu, gnat, newt = other.predict(new)
    assert_close([gnu, gnat], [newt, newt])


@pytest.mark.parametrize("is_train", [False, True])
def test_each_doc_has_the_static_vectors_of_its_vocab(
    make_model: MakeModel, is_train: bool
) -> None:
    docs = []
    for value in (1, -1):
        vocab = Vocab()
        vocab.set_vector("gnu", numpy.full(2, value, dtype="float32"))
        docs.append(Doc(vocab, words=["a", "gnu"]))
    model = make_model(LSTMTok2Vec, docs, include_static_vectors=True)
    together, _ = model(docs, is_train)
    assert (together[0] != together[1]).any()
    assert_close(together, [model([doc], is_train)[0][0] for doc in docs])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_unknown_rate_hides_rare_words_in_training_only(
    make_model: MakeModel, make_docs: MakeDocs, architecture: Callable[..., DocModel]
) -> None:
    settings = {"affixes": False, "character_lstm_width": 0, "unknown_rate": 1.0}
    model = make_model(architecture, **settings)
    rare, unheard, frequent = make_docs("bird", "unheard-of", "dog")
    seen = model.begin_update([rare, unheard, frequent])[0]
    assert_close(seen[:1], seen[1:2])
    assert (seen[0] != seen[2]).any()
    predicted = model.predict([rare, unheard])
    assert (predicted[0] != predicted[1]).any()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_dropout_of_the_pipeline_is_used_in_training(
    make_model: MakeModel, docs: list[Doc], architecture: Callable[..., DocModel]
) -> None:
    model = make_model(architecture)
    assert model.attrs["dropout_rate"] == 0
    set_dropout_rate(model, 0.5)
    first, second = (numpy.concatenate(model.begin_update(docs)[0]) for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("min_frequency", [1, 2])
def test_the_vocabulary_is_learnt_from_all_docs(
    make_model: MakeModel, make_docs: MakeDocs, min_frequency: int
) -> None:
    model = make_model(some=make_docs("the dog", "a dog", "a cat"), min_frequency=min_frequency)
    expected = {"dog", "a"} if min_frequency == 2 else {"the", "dog", "a", "cat"}
    assert set(network_of(model).vocabulary.words) == expected


@pytest.mark.parametrize("name", ["tagger", "morphologizer"])
def test_stock_components_learn_the_words_of_all_their_examples(
    nlp: Language, tiny: dict[str, Any], name: str
) -> None:
    component = nlp.add_pipe(name, config={"model": tiny})
    words = [f"word{i}" for i in range(30)]
    references = [Doc(nlp.vocab, words=[w], tags=["N"], morphs=["A=B"]) for w in words]
    examples = [
        Example(Doc(nlp.vocab, words=[w]), r) for w, r in zip(words, references, strict=True)
    ]
    optimizer = nlp.initialize(lambda: examples)
    assert set(network_of(component.model).vocabulary.words) < set(words)
    nlp.update(examples, sgd=optimizer)
    assert set(network_of(component.model).vocabulary.words) == set(words)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_model_that_is_initialized_again_starts_afresh(
    make_docs: MakeDocs, widths: dict[str, int], architecture: Callable[..., DocModel]
) -> None:
    model = architecture(**widths)
    for text in ("the dog", "a cat sleeps"):
        (doc,) = make_docs(text)
        width = 3 if architecture is LSTMTagger else model.get_dim("nO")
        model.initialize(X=[doc], Y=[numpy.zeros((len(doc), width), "float32")])
        shim = network_of(model)
        assert set(shim.vocabulary.words) == set(text.split())
        assert len(shim.network.words.weight) == 1 + len(text.split())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_docs_no_network_is_made(architecture: Callable[..., DocModel]) -> None:
    model = architecture()
    model.initialize()
    assert network_of(model).is_empty
    with pytest.raises(ValueError, match="initialize"):
        network_of(model).vocabulary  # noqa: B018


def label_examples(nlp: Language) -> tuple[list[Example], Doc]:
    """Return examples, an empty one among them, and a Doc."""
    words = ["the", "dog", "ate", "the", "apple"]
    tags = ["D", "N", "V", "D", "N"]
    references = [
        Doc(nlp.vocab, words=words, tags=tags),
        Doc(nlp.vocab),
        Doc(nlp.vocab, words=words[:2], tags=tags[:2]),
    ]
    examples = [Example(Doc(nlp.vocab, words=[t.text for t in r]), r) for r in references]
    return examples, Doc(nlp.vocab, words=words)


@pytest.mark.parametrize("component", ["tagger", "lstm_tagger"])
def test_a_shared_tok2vec_trains_with_an_empty_doc(
    nlp: Language, widths: dict[str, int], component: str
) -> None:
    model = {"@architectures": "spacy-lstm-tagger.LSTMTok2Vec.v1", **widths}
    nlp.add_pipe("tok2vec", config={"model": model})
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 46}
    tagger = {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}
    nlp.add_pipe(component, config={"model": tagger})
    examples, doc = label_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    before = nlp.get_pipe("tok2vec").model.to_bytes()
    optimizer.learn_rate = 0.03
    for _ in range(40):
        nlp.update(examples, sgd=optimizer, drop=0.1)
    assert [token.tag_ for token in nlp(doc)] == ["D", "N", "V", "D", "N"]
    assert nlp.get_pipe("tok2vec").model.to_bytes() != before


@pytest.mark.parametrize("component", ["tagger", "lstm_tagger"])
def test_the_tagger_architecture_trains_with_an_empty_doc(
    nlp: Language, tiny: dict[str, Any], component: str
) -> None:
    nlp.add_pipe(component, config={"model": tiny})
    examples, doc = label_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.03
    for _ in range(40):
        nlp.update(examples, sgd=optimizer, drop=0.1)
    assert [token.tag_ for token in nlp(doc)] == ["D", "N", "V", "D", "N"]


def test_tok2vec_composes_with_other_layers(docs: list[Doc], widths: dict[str, int]) -> None:
    model = chain(LSTMTok2Vec(**widths), with_array(Linear()))
    Y = [numpy.zeros((len(doc), 3), "float32") for doc in docs]
    model.initialize(X=docs, Y=Y)
    before = model.layers[0].shims[0].to_bytes()
    outputs, backprop = model.begin_update(docs)
    backprop(outputs)
    model.finish_update(Adam(0.1))
    assert [output.shape for output in outputs] == [(len(doc), 3) for doc in docs]
    assert model.layers[0].shims[0].to_bytes() != before
