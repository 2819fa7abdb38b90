"""Tests of `architectures.py`: what is registered, the contract of the models, and windows."""

import importlib
import pkgutil
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from typing import Any

import catalogue
import numpy
import pytest
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from spacy_lstm_tagger.network.precision import computes_bf16
from thinc.api import Adam, Linear, Model, chain, fix_random_seed, set_dropout_rate, with_array
from thinc.types import Floats2d
from torch import nn

import spacy_lstm_tagger
from spacy_lstm_tagger.model import forward
from spacy_lstm_tagger.model.architectures import LSTMTagger, LSTMTok2Vec
from spacy_lstm_tagger.model.vocabulary import Vocabulary, to_lists
from spacy_lstm_tagger.network import precision

MakeDocs = Callable[..., list[Doc]]
DocModel = Model[list[Doc], list[Floats2d]]

ARCHITECTURES = [LSTMTagger, LSTMTok2Vec]
TEXTS = ["The dog ate the apple", "", "Everybody read", "that 🙂 old old book", "Oh"]
WIDTHS = {"word_width": 4, "character_width": 3, "character_lstm_width": 2, "lstm_width": 4}
N_LABELS = 3
VARIANTS: list[dict[str, Any]] = [
    {},
    {"depth": 3},
    {"depth": 2, "bidirectional": False},
    {"character_lstm_width": 0},
    {"affixes": False, "window_length": 2},
]
BAD_SETTINGS = [
    ("depth", 0),
    ("depth", 4),
    ("word_width", 0),
    ("word_width", -1),
    ("character_width", -1),
    ("character_lstm_width", -1),
    ("lstm_width", 0),
    ("lstm_width", -8),
    ("unknown_rate", -0.1),
    ("unknown_rate", 1.1),
    ("unknown_rate", float("nan")),
    ("window_length", 0),
    ("window_length", -3),
    ("min_frequency", 0),
    ("precision", "fp16"),
    ("static_vector_width", -1),
    ("static_vector_width", 3),  # without include_static_vectors
]
ENTRY_POINTS = [
    entry_point
    for entry_point in distribution("spacy-lstm-tagger").entry_points
    if entry_point.group.startswith("spacy_")
]


def initialize(model: DocModel, docs: list[Doc], n_labels: int = N_LABELS) -> DocModel:
    """Initialize a model, and draw weights that are far from zero."""
    width = n_labels if model.name == "lstm_tagger" else model.get_dim("nO")
    model.initialize(X=docs, Y=[numpy.zeros((len(doc), width), "float32") for doc in docs])
    torch.manual_seed(0)
    for parameter in model.shims[0].network.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model


@pytest.fixture
def docs(make_docs: MakeDocs) -> list[Doc]:
    return make_docs(*TEXTS)


@pytest.fixture
def make_model(docs: list[Doc]) -> Callable[..., DocModel]:
    """Return a function that makes a model for the Docs."""

    def make(architecture: Callable[..., DocModel] = LSTMTagger, **settings: Any) -> DocModel:
        return initialize(architecture(**{**WIDTHS, "unknown_rate": 0.0, **settings}), docs)

    return make


def assert_close(found: list[Floats2d], expected: list[Floats2d], tolerance: float = 1e-6) -> None:
    for array, other in zip(found, expected, strict=True):
        numpy.testing.assert_allclose(array, other, rtol=0, atol=tolerance)


def namespace_of(group: str) -> str:
    """Return the name of spaCy's registry for a group of entry points."""
    return group.removeprefix("spacy_").replace("factories", "internal_factories")


def vocabulary_of(model: DocModel) -> Vocabulary:
    return model.shims[0].vocabulary


def test_entry_points_are_what_decorators_registered() -> None:
    for module in pkgutil.walk_packages(spacy_lstm_tagger.__path__, "spacy_lstm_tagger."):
        importlib.import_module(module.name)
    registered = {
        keys[1:]
        for keys, function in catalogue.REGISTRY.items()
        if getattr(function, "__module__", "").startswith("spacy_lstm_tagger.")
    }
    named = {(namespace_of(entry.group), entry.name) for entry in ENTRY_POINTS}
    assert registered == {name for name in named if name[0] != "cli"}  # no decorator names commands
    assert {("architectures", f"spacy-lstm-tagger.{a.__name__}.v1") for a in ARCHITECTURES} < (
        registered
    )


@pytest.mark.parametrize("entry_point", ENTRY_POINTS, ids=lambda entry_point: entry_point.name)
def test_every_name_resolves_through_spacy(entry_point: Any) -> None:
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
    [({}, 32), ({"bidirectional": False}, 10), ({"bidirectional": False, "output_width": 5}, 5)],
)
def test_tok2vec_is_as_wide_as_documented(
    make_model: Callable[..., DocModel], docs: list[Doc], settings: dict[str, Any], width: int
) -> None:
    assert LSTMTok2Vec(**WIDTHS, **settings).get_dim("nO") == width
    model = make_model(LSTMTok2Vec, **settings)
    assert model.get_dim("nO") == width
    assert {vectors.shape[1] for vectors in model.predict(docs)} == {width}


@pytest.mark.parametrize("nO", [None, 2])
def test_tagger_has_one_output_per_label(docs: list[Doc], nO: int) -> None:
    model = LSTMTagger(**WIDTHS, nO=nO)
    assert model.has_dim("nO") == (None if nO is None else True)
    initialize(model, docs, n_labels=2)
    assert model.get_dim("nO") == 2
    assert {scores.shape[1] for scores in model.predict(docs)} == {2}


def test_a_projection_mixes_what_the_encoder_returns(
    make_model: Callable[..., DocModel], docs: list[Doc]
) -> None:
    wide, narrow = make_model(LSTMTok2Vec), make_model(LSTMTok2Vec, output_width=5)
    output = narrow.shims[0].network.output
    wide.shims[0].network.load_state_dict(narrow.shims[0].network.state_dict(), strict=False)
    weights, bias = output.weight.detach().numpy(), output.bias.detach().numpy()
    expected = [vectors @ weights.T + bias for vectors in wide.predict(docs)]
    assert_close(narrow.predict(docs), expected, tolerance=1e-5)


def test_labels_must_be_as_many_as_the_config_says(docs: list[Doc]) -> None:
    with pytest.raises(ValueError):
        initialize(LSTMTagger(**WIDTHS, nO=5), docs)


@pytest.mark.parametrize("settings", VARIANTS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_prediction_in_parts_equals_prediction_at_once(
    make_model: Callable[..., DocModel],
    make_docs: MakeDocs,
    monkeypatch: pytest.MonkeyPatch,
    architecture: Callable[..., DocModel],
    settings: dict[str, Any],
) -> None:
    model = make_model(architecture, **{"window_length": 1, **settings})
    docs = [*make_docs(*TEXTS, ""), *long_doc(make_docs, 40)]
    at_once = model.predict(docs)
    monkeypatch.setattr(forward, "MAX_WINDOWS", 2)
    assert_close(model.predict(docs), at_once)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("is_train", [False, True])
@pytest.mark.parametrize("settings", VARIANTS)
def test_each_doc_gets_one_row_per_token(
    make_model: Callable[..., DocModel],
    docs: list[Doc],
    architecture: Callable[..., DocModel],
    is_train: bool,
    settings: dict[str, Any],
) -> None:
    model = make_model(architecture, **settings)
    outputs, _ = model(docs, is_train)
    assert [output.shape for output in outputs] == [(len(d), model.get_dim("nO")) for d in docs]
    assert {output.dtype for output in outputs} == {numpy.dtype("float32")}


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_tagger_returns_probabilities_while_it_is_trained(
    make_model: Callable[..., DocModel], docs: list[Doc], dropout: float
) -> None:
    model = make_model(unknown_rate=0.5)
    set_dropout_rate(model, dropout)
    probabilities = numpy.concatenate(model.begin_update(docs)[0])
    numpy.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert (probabilities > 0).all()


def test_tagger_returns_scores_when_it_predicts(
    make_model: Callable[..., DocModel], docs: list[Doc]
) -> None:
    scores = numpy.concatenate(make_model().predict(docs))
    assert (scores < 0).any()
    assert (numpy.abs(scores.sum(axis=1) - 1) > 0.01).any()


@pytest.mark.parametrize("settings", VARIANTS[:-1])
def test_softmax_of_scores_equals_probabilities(
    make_model: Callable[..., DocModel], docs: list[Doc], settings: dict[str, Any]
) -> None:
    model = make_model(**settings)
    exponentials = [numpy.exp(scores) for scores in model.predict(docs)]
    expected = [e / e.sum(axis=1, keepdims=True) for e in exponentials]
    assert_close(model.begin_update(docs)[0], expected)


@pytest.mark.parametrize("output_width", [0, 5])
def test_tok2vec_returns_the_same_vectors_in_training(
    make_model: Callable[..., DocModel], docs: list[Doc], output_width: int
) -> None:
    model = make_model(LSTMTok2Vec, output_width=output_width)
    assert_close(model.begin_update(docs)[0], model.predict(docs))


@pytest.fixture
def bf16_support(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], None]]:
    """Return a function that gives the processor instructions for bfloat16, or takes them away."""

    def set_support(supported: bool) -> None:
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
            monkeypatch.setattr(torch.cpu, name, lambda: supported)
        computes_bf16.cache_clear()

    yield set_support
    computes_bf16.cache_clear()


@pytest.mark.usefixtures("needs_bf16")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bf16_trains_about_the_same(
    make_model: Callable[..., DocModel],
    docs: list[Doc],
    architecture: Callable[..., DocModel],
    bf16_support: Callable[[bool], None],
) -> None:
    bf16_support(True)  # PyTorch emulates what a processor lacks
    exact, fast = (make_model(architecture, precision=p) for p in ("fp32", "bf16"))
    assert_close(fast.predict(docs), exact.predict(docs), 0)  # a CPU predicts in fp32
    training = [model.begin_update(docs)[0] for model in (exact, fast)]
    assert {scores.dtype for scores in training[1]} == {numpy.dtype("float32")}
    assert_close(*training, 0.03)
    assert any((a != b).any() for a, b in zip(*training, strict=True))
    gradients = []
    for model in (exact, fast):
        fix_random_seed(0)
        outputs, backprop = model.begin_update(docs)
        backprop([numpy.ones_like(output) for output in outputs])
        network = model.shims[0].network
        gradients.append({name: p.grad.clone() for name, p in network.named_parameters()})
        assert {p.dtype for p in network.parameters()} == {torch.float32}
    for name, gradient in gradients[0].items():
        other = gradients[1][name]
        assert other.dtype == torch.float32
        torch.testing.assert_close(
            other, gradient, rtol=0.1, atol=0.03 * float(gradient.abs().max())
        )


def test_where_bf16_cannot_help_a_warning_says_so_once(
    make_model: Callable[..., DocModel], docs: list[Doc], bf16_support: Callable[[bool], None]
) -> None:
    bf16_support(False)
    model = make_model(precision="bf16")
    with pytest.warns(UserWarning, match='precision = "bf16" can.t help'):
        found, _ = model.begin_update(docs)
    assert_close(found, make_model().begin_update(docs)[0], 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.begin_update(docs)


def test_where_onednn_refuses_bf16_fp32_takes_its_place(
    make_model: Callable[..., DocModel],
    docs: list[Doc],
    bf16_support: Callable[[bool], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bf16_support(True)
    monkeypatch.setattr(precision, "runs_bf16", lambda: False)
    model = make_model(precision="bf16")
    with pytest.warns(UserWarning, match='precision = "bf16" can.t help'):
        found, _ = model.begin_update(docs)
    assert_close(found, make_model().begin_update(docs)[0], 0)


def test_a_model_can_be_loaded_with_another_precision(
    make_model: Callable[..., DocModel], docs: list[Doc]
) -> None:
    exact, fast = make_model(), LSTMTagger(**WIDTHS, precision="bf16")
    fast.from_bytes(exact.to_bytes())
    assert_close(fast.predict(docs), exact.predict(docs), 0)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("setting, value", BAD_SETTINGS)
def test_bad_settings_are_refused_by_name(
    architecture: Callable[..., DocModel], setting: str, value: float
) -> None:
    with pytest.raises(ValueError, match=f"{setting} = {value!r} must be"):
        architecture(**{setting: value})


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
def test_settings_at_the_limit_are_taken(
    make_model: Callable[..., DocModel],
    docs: list[Doc],
    architecture: Callable[..., DocModel],
    settings: dict[str, Any],
) -> None:
    model = make_model(architecture, **settings)
    _, backprop = model.begin_update(docs)
    backprop(model.predict(docs))
    assert all(numpy.isfinite(output).all() for output in model.predict(docs))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_settings_are_keyword_only(architecture: Callable[..., DocModel]) -> None:
    with pytest.raises(TypeError):
        architecture(96)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_static_vectors_need_vectors(
    docs: list[Doc], architecture: Callable[..., DocModel]
) -> None:
    with pytest.raises(ValueError, match="include_static_vectors"):
        initialize(architecture(**WIDTHS, include_static_vectors=True), docs)


@pytest.mark.parametrize("static_vector_width", [0, 5])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_static_vectors_tell_unknown_words_apart(
    make_model: Callable[..., DocModel],
    make_docs: MakeDocs,
    docs: list[Doc],
    architecture: Callable[..., DocModel],
    static_vector_width: int,
) -> None:
    settings = {"affixes": False, "character_lstm_width": 0}
    docs[0].vocab.vectors = Vectors(
        strings=docs[0].vocab.strings, data=numpy.eye(2, dtype="float32"), keys=["gnu", "dog"]
    )
    own = {"include_static_vectors": True, "static_vector_width": static_vector_width}
    model = make_model(architecture, **own, **settings)
    other = make_model(architecture, include_static_vectors=False, **settings)
    new = make_docs("gnu", "gnat", "newt")
    gnu, gnat, newt = model.predict(new)
    assert (gnu != gnat).any()
    assert_close([gnat], [newt])
    gnu, gnat, newt = other.predict(new)
    assert_close([gnu, gnat], [newt, newt])


@pytest.mark.parametrize("is_train", [False, True])
def test_each_doc_has_the_static_vectors_of_its_own_vocab(is_train: bool) -> None:
    docs = []
    for value in (1, -1):
        vocab = Vocab()
        vocab.set_vector("gnu", numpy.full(2, value, dtype="float32"))
        docs.append(Doc(vocab, words=["a", "gnu"]))
    settings = {**WIDTHS, "include_static_vectors": True, "unknown_rate": 0.0}
    model = initialize(LSTMTok2Vec(**settings), docs)
    together, _ = model(docs, is_train)
    assert (together[0] != together[1]).any()
    assert_close(together, [model([doc], is_train)[0][0] for doc in docs])


def long_doc(make_docs: MakeDocs, length: int) -> list[Doc]:
    words = " ".join(TEXTS).split()
    random = numpy.random.RandomState(0)
    return make_docs(" ".join(words[i] for i in random.randint(len(words), size=length)))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_long_doc_is_predicted_as_if_it_were_one_window(
    make_model: Callable[..., DocModel],
    make_docs: MakeDocs,
    architecture: Callable[..., DocModel],
    bidirectional: bool,
    depth: int,
) -> None:
    settings = {"depth": depth, "bidirectional": bidirectional}
    doc = long_doc(make_docs, 600)
    expected = make_model(architecture, window_length=1000, **settings).predict(doc)
    assert_close(
        make_model(architecture, window_length=40, **settings).predict(doc), expected, 1e-3
    )
    bare = make_model(architecture, **{"window_length": 1, **settings}).predict(doc)
    # Left to right, a Doc is read whole, whatever the length of windows.
    assert (numpy.abs(bare[0] - expected[0]).max() > 1e-2) == bidirectional


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("length", [1, 7, 23, 24])
def test_a_doc_that_fits_into_a_window_is_predicted_exactly(
    make_model: Callable[..., DocModel],
    make_docs: MakeDocs,
    architecture: Callable[..., DocModel],
    length: int,
) -> None:
    doc = long_doc(make_docs, length)
    found = make_model(architecture, window_length=3).predict(doc)
    expected = make_model(architecture, window_length=1000).predict(doc)
    assert found[0].tolist() == expected[0].tolist()


def test_a_training_window_ends_where_the_next_begins(
    make_model: Callable[..., DocModel], make_docs: MakeDocs
) -> None:
    model = make_model(LSTMTok2Vec, window_length=2)
    whole, _ = model.begin_update(make_docs("The dog ate the apple"))
    parts, _ = model.begin_update(make_docs("The", "dog ate", "the apple"))
    assert_close(whole, [numpy.concatenate(parts)])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("is_train", [False, True])
@pytest.mark.parametrize("settings", VARIANTS)
def test_batched_equals_unbatched_equals_any_order(
    make_model: Callable[..., DocModel],
    make_docs: MakeDocs,
    architecture: Callable[..., DocModel],
    is_train: bool,
    settings: dict[str, Any],
) -> None:
    model = make_model(architecture, **settings)
    docs = [*make_docs(*TEXTS, "", "the THE The apple unheard-of", ""), *long_doc(make_docs, 40)]
    one_by_one = [model([doc], is_train)[0][0] for doc in docs]
    assert_close(model(docs, is_train)[0], one_by_one)
    for seed in range(3):
        order = numpy.random.RandomState(seed).permutation(len(docs))
        shuffled, _ = model([docs[i] for i in order], is_train)
        assert_close(shuffled, [one_by_one[i] for i in order])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("n_docs", [1, 3])
def test_a_batch_of_empty_docs_predicts_and_trains(
    make_model: Callable[..., DocModel],
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
    make_model: Callable[..., DocModel], docs: list[Doc], architecture: Callable[..., DocModel]
) -> None:
    model = make_model(architecture)
    words = [" ", "\n\n", "x" * 10_000, "👍🏽", "e\u0301\u0323", "ⵣⴰⵎ", "İ"]
    batch = [Doc(docs[0].vocab, words=words), *(Doc(docs[0].vocab, words=[w]) for w in words)]
    outputs, backprop = model.begin_update(batch)
    backprop(outputs)
    model.finish_update(Adam(0.1))
    assert all(numpy.isfinite(output).all() for output in model.predict(batch))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_unknown_rate_hides_rare_words_in_training_only(
    make_model: Callable[..., DocModel],
    make_docs: MakeDocs,
    architecture: Callable[..., DocModel],
) -> None:
    settings = {"affixes": False, "character_lstm_width": 0, "unknown_rate": 1.0}
    model = make_model(architecture, **settings)
    rare, unheard, frequent = make_docs("apple", "unheard-of", "old")
    seen = model.begin_update([rare, unheard, frequent])[0]
    assert_close(seen[:1], seen[1:2])
    assert (seen[0] != seen[2]).any()
    predicted = model.predict([rare, unheard])
    assert (predicted[0] != predicted[1]).any()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_dropout_of_the_pipeline_reaches_training(
    make_model: Callable[..., DocModel], docs: list[Doc], architecture: Callable[..., DocModel]
) -> None:
    model = make_model(architecture)
    assert model.attrs["dropout_rate"] == 0
    set_dropout_rate(model, 0.5)
    first, second = (numpy.concatenate(model.begin_update(docs)[0]) for _ in range(2))
    assert (first != second).any()


@pytest.mark.parametrize("min_frequency", [1, 2])
def test_all_docs_teach_the_vocabulary(make_docs: MakeDocs, min_frequency: int) -> None:
    docs = make_docs("the dog", "a dog", "a cat")
    model = initialize(LSTMTagger(**WIDTHS, min_frequency=min_frequency), docs)
    expected = {"dog", "a"} if min_frequency == 2 else {"the", "dog", "a", "cat"}
    assert set(vocabulary_of(model).words) == expected


@pytest.mark.parametrize("name", ["tagger", "morphologizer"])
def test_stock_components_learn_the_words_of_all_their_examples(name: str) -> None:
    nlp = spacy.blank("xx")
    model = {"@architectures": "spacy-lstm-tagger.LSTMTagger.v1", **WIDTHS}
    component = nlp.add_pipe(name, config={"model": model})
    words = [f"word{i}" for i in range(30)]
    references = [Doc(nlp.vocab, words=[w], tags=["N"], morphs=["A=B"]) for w in words]
    examples = [
        Example(Doc(nlp.vocab, words=[w]), r) for w, r in zip(words, references, strict=True)
    ]
    optimizer = nlp.initialize(lambda: examples)
    assert set(vocabulary_of(component.model).words) < set(words)
    nlp.update(examples, sgd=optimizer)
    assert set(vocabulary_of(component.model).words) == set(words)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_initializing_again_learns_afresh(
    make_docs: MakeDocs, architecture: Callable[..., DocModel]
) -> None:
    model = architecture(**WIDTHS)
    for text in ("the dog", "a cat sleeps"):
        batch = make_docs(text)
        initialize(model, batch)
        assert set(vocabulary_of(model).words) == set(text.split())
        rows = dict(model.shims[0].network.named_parameters())
        (words,) = (value for name, value in rows.items() if name.endswith("words.weight"))
        assert len(words) == 1 + len(text.split())


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_docs_no_network_is_built(architecture: Callable[..., DocModel]) -> None:
    model = architecture(**WIDTHS)
    model.initialize()
    with pytest.raises(ValueError, match="initialize"):
        vocabulary_of(model)
    assert model.shims[0]._learnt.network is None


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("settings", VARIANTS)
def test_bytes_bring_back_vocabulary_and_outputs_exactly(
    make_model: Callable[..., DocModel],
    docs: list[Doc],
    architecture: Callable[..., DocModel],
    settings: dict[str, Any],
) -> None:
    model = make_model(architecture, **settings)
    restored = architecture(**{**WIDTHS, "unknown_rate": 0.0, **settings})
    restored.from_bytes(model.to_bytes())
    assert to_lists(vocabulary_of(restored)) == to_lists(vocabulary_of(model))
    assert restored.get_dim("nO") == model.get_dim("nO")
    for output, expected in zip(restored.predict(docs), model.predict(docs), strict=True):
        assert output.tolist() == expected.tolist()


def label_examples(nlp: Language) -> tuple[list[Example], Doc]:
    """Return examples whose labels are those of the words, an empty one among them."""
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
def test_a_shared_tok2vec_trains_with_an_empty_doc(component: str) -> None:
    nlp = spacy.blank("xx")
    model = {"@architectures": "spacy-lstm-tagger.LSTMTok2Vec.v1", **WIDTHS}
    nlp.add_pipe("tok2vec", config={"model": model})
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 32}
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
def test_the_tagger_architecture_trains_with_an_empty_doc(component: str) -> None:
    nlp = spacy.blank("xx")
    model = {"@architectures": "spacy-lstm-tagger.LSTMTagger.v1", **WIDTHS}
    nlp.add_pipe(component, config={"model": model})
    examples, doc = label_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.03
    for _ in range(40):
        nlp.update(examples, sgd=optimizer, drop=0.1)
    assert [token.tag_ for token in nlp(doc)] == ["D", "N", "V", "D", "N"]


def test_tok2vec_composes_with_other_layers(docs: list[Doc]) -> None:
    model = chain(LSTMTok2Vec(**WIDTHS), with_array(Linear()))
    Y = [numpy.zeros((len(doc), N_LABELS), "float32") for doc in docs]
    model.initialize(X=docs, Y=Y)
    before = model.layers[0].shims[0].to_bytes()
    outputs, backprop = model.begin_update(docs)
    backprop(outputs)
    model.finish_update(Adam(0.1))
    assert [output.shape for output in outputs] == [(len(doc), N_LABELS) for doc in docs]
    assert model.layers[0].shims[0].to_bytes() != before
