"""Tests of `shim.py` and `held.py`: gradients, optimizers, averages, copies, saving, threads."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from zlib import crc32

import numpy
import pytest
import safetensors.numpy
import srsly
import torch
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from spacy_lstm_tagger.model.features import ids_of
from spacy_lstm_tagger.model.learnt import CHECKSUM_LENGTH
from spacy_lstm_tagger.prediction.inputs import TypeIds
from thinc.api import SGD, Adam, Model, set_dropout_rate
from thinc.types import Floats2d
from torch import Tensor, nn

from spacy_lstm_tagger.model import held, learnt
from spacy_lstm_tagger.model.architectures import LSTMTagger, LSTMTok2Vec
from spacy_lstm_tagger.model.shim import NetworkShim
from spacy_lstm_tagger.model.vocabulary import News, Vocabulary, affixes
from spacy_lstm_tagger.prediction.reader import Reader, reader_of

MakeModel = Callable[..., Model[list[Doc], list[Floats2d]]]

TEXTS = ["The dog ate the apple", "", "Everybody read", "that 🙂 old book"]
WIDTHS = {"word_width": 4, "character_width": 3, "character_lstm_width": 2, "lstm_width": 4}
N_LABELS = 3
SETTINGS: dict[str, Any] = {
    **WIDTHS,
    "depth": 1,
    "bidirectional": True,
    "affixes": True,
    "include_static_vectors": False,
}
SIZES = {"vector_width": 0, "n_labels": N_LABELS}
VOCABULARY = Vocabulary("abcde", "abcde", "abcde", n_frequent=2)
VARIANTS: list[dict[str, Any]] = [
    {},
    {"depth": 2, "bidirectional": False},
    {"depth": 3},
    {"character_lstm_width": 0},
    {"affixes": False},
    {"include_static_vectors": True},
    {"include_static_vectors": True, "static_vector_width": 2},
]


COPIES: list[Callable[[Model], Model]] = [
    lambda model: model.copy(),
    copy.deepcopy,
    lambda model: pickle.loads(pickle.dumps(model)),
]


@pytest.fixture
def docs(make_docs: Callable[..., list[Doc]]) -> list[Doc]:
    docs = make_docs(*TEXTS)
    table = numpy.random.RandomState(0).normal(size=(3, 4)).astype("float32")
    strings = docs[0].vocab.strings
    docs[0].vocab.vectors = Vectors(strings=strings, data=table, keys=["dog", "book", "the"])
    return docs


@pytest.fixture
def make_model(docs: list[Doc]) -> MakeModel:
    """Return a function that makes a model for the Docs, with weights far from zero."""

    def make(architecture: Callable = LSTMTagger, **settings: Any) -> Model:
        torch.manual_seed(0)
        model = architecture(**{**WIDTHS, "unknown_rate": 0.0, "window_length": 3, **settings})
        n_labels = N_LABELS if architecture is LSTMTagger else model.get_dim("nO")
        model.initialize(X=docs, Y=[numpy.zeros((len(doc), n_labels), "float32") for doc in docs])
        for parameter in parameters_of(model).values():
            nn.init.normal_(parameter, std=0.5)
        return model

    return make


@pytest.fixture
def shim() -> NetworkShim:
    torch.manual_seed(0)
    shim = NetworkShim("TaggerNetwork", SETTINGS)
    shim.build(VOCABULARY, **SIZES)
    return shim


def parameters_of(model: Model) -> dict[str, nn.Parameter]:
    return dict(model.shims[0].network.named_parameters())


def weights_of(model: Model) -> dict[str, Tensor]:
    """Return the weights as they are now."""
    return {name: value.detach().clone() for name, value in parameters_of(model).items()}


def same(weights: dict[str, Tensor], others: dict[str, Tensor]) -> bool:
    return weights.keys() == others.keys() and all(
        torch.equal(weights[name], others[name]) for name in weights
    )


def train_step(model: Model, docs: list[Doc]) -> tuple[float, list[Floats2d]]:
    """Run forward and backward for a loss; return the loss and its gradient."""
    torch.manual_seed(0)
    Y, backprop = model.begin_update(docs)
    random = numpy.random.RandomState(1)
    if model.name == "lstm_tagger":
        target = [numpy.eye(N_LABELS)[random.randint(N_LABELS, size=len(y))] for y in Y]
        loss = -sum((t * numpy.log(y)).sum() for t, y in zip(target, Y, strict=True))
        dY = [(y - t).astype(y.dtype) for t, y in zip(target, Y, strict=True)]
    else:
        dY = [random.normal(size=y.shape).astype(y.dtype) for y in Y]
        loss = sum((d * y).sum() for d, y in zip(dY, Y, strict=True))
    backprop(dY)
    return float(loss), dY


def update(model: Model, docs: list[Doc], optimizer: Any, n_times: int = 1) -> None:
    for _ in range(n_times):
        train_step(model, docs)
        model.finish_update(optimizer)


def moved(model: Model, steps: dict[str, Tensor], by: float) -> Model:
    """Move the parameters of a model some steps on."""
    for name, parameter in parameters_of(model).items():
        parameter.data += by * steps[name]
    return model


@pytest.mark.parametrize("architecture", [LSTMTagger, LSTMTok2Vec])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("settings", VARIANTS)
def test_gradients_equal_finite_differences(
    make_model: MakeModel,
    docs: list[Doc],
    architecture: Callable,
    dropout: float,
    settings: dict[str, Any],
) -> None:
    model = make_model(architecture, **settings)
    set_dropout_rate(model, dropout)
    network = model.shims[0].network.double()
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
    train_step(model, docs)
    gradients = {name: value.grad.clone() for name, value in parameters_of(model).items()}
    for _ in range(3):
        steps = {name: 1e-6 * torch.randn_like(value) for name, value in gradients.items()}
        below, above = (train_step(moved(model, steps, by), docs)[0] for by in (-1, 2))
        moved(model, steps, -1)
        expected = sum(float((gradients[name] * step).sum()) for name, step in steps.items())
        assert (above - below) / 2 == pytest.approx(expected, rel=1e-5)


def test_gradients_of_batches_add_up(make_model: MakeModel, docs: list[Doc]) -> None:
    model = make_model()
    parts = []
    for batch in (docs[:2], docs[2:]):
        train_step(model, batch)
        parts.append({name: value.grad for name, value in parameters_of(model).items()})
        model.shims[0].network.zero_grad()
    for batch in (docs[:2], docs[2:]):
        train_step(model, batch)
    for name, parameter in parameters_of(model).items():
        torch.testing.assert_close(parameter.grad, parts[0][name] + parts[1][name])


def test_prediction_between_forward_and_backward_changes_no_gradient(
    make_model: MakeModel, docs: list[Doc]
) -> None:
    model = make_model()
    train_step(model, docs)
    expected = {name: value.grad for name, value in parameters_of(model).items()}
    model.shims[0].network.zero_grad()
    torch.manual_seed(0)
    _, backprop = model.begin_update(docs)
    _, dY = train_step(model.copy(), docs)
    model.predict(docs[::-1])
    backprop(dY)
    found = {name: value.grad for name, value in parameters_of(model).items()}
    assert same(found, expected)


@pytest.mark.parametrize("learn_rate", [0.1, 0.5])
def test_finish_update_takes_one_step_of_the_optimizer(
    make_model: MakeModel, docs: list[Doc], learn_rate: float
) -> None:
    model = make_model()
    train_step(model, docs)
    expected = {
        name: value.detach() - learn_rate * value.grad
        for name, value in parameters_of(model).items()
    }
    before = weights_of(model)
    model.finish_update(SGD(learn_rate, grad_clip=0.0))
    assert not any(torch.equal(value, before[name]) for name, value in weights_of(model).items())
    torch.testing.assert_close(weights_of(model), expected)


def test_finish_update_clears_gradients(make_model: MakeModel, docs: list[Doc]) -> None:
    model, optimizer = make_model(), SGD(0.1)
    update(model, docs, optimizer)
    once = weights_of(model)
    model.finish_update(optimizer)
    assert same(weights_of(model), once)
    assert all(value.grad is None for value in parameters_of(model).values())


def test_finish_update_changes_parameters_in_place(make_model: MakeModel, docs: list[Doc]) -> None:
    model = make_model()
    before = {name: (id(v), v.data_ptr()) for name, v in parameters_of(model).items()}
    update(model, docs, Adam(0.1))
    assert {name: (id(v), v.data_ptr()) for name, v in parameters_of(model).items()} == before


def test_a_batch_without_tokens_trains_nothing(make_model: MakeModel, docs: list[Doc]) -> None:
    model = make_model()
    before = weights_of(model)
    update(model, [docs[1], docs[1]], Adam(0.1, L2=0.1))
    assert same(weights_of(model), before)


def test_averages_stand_in_for_the_weights_and_the_weights_return(
    make_model: MakeModel, docs: list[Doc]
) -> None:
    model, optimizer = make_model(), Adam(0.1, use_averages=True)
    update(model, docs, optimizer, 5)
    trained, scores = weights_of(model), model.predict(docs)[0]
    with model.use_params(optimizer.averages):
        for name, value in weights_of(model).items():
            assert value.numpy().tolist() == optimizer.averages[model.shims[0].id, name].tolist()
            assert not torch.equal(value, trained[name])
        assert (model.predict(docs)[0] != scores).any()
    assert same(weights_of(model), trained)
    assert model.predict(docs)[0].tolist() == scores.tolist()


def test_averages_are_those_of_the_weights_on_the_way(
    make_model: MakeModel, docs: list[Doc]
) -> None:
    model, optimizer = make_model(), Adam(0.1, use_averages=True)
    averages: dict[str, Tensor] = {}
    for t in range(1, 6):
        update(model, docs, optimizer)
        decay = (1 + t) / (10 + t)  # as Thinc's optimizer weighs the first of them
        for name, value in weights_of(model).items():
            old = averages.get(name, torch.zeros_like(value))
            averages[name] = decay * old + (1 - decay) * value
    with model.use_params(optimizer.averages):
        torch.testing.assert_close(weights_of(model), averages)


def test_the_weights_return_after_an_exception(make_model: MakeModel, docs: list[Doc]) -> None:
    model, optimizer = make_model(), Adam(0.1, use_averages=True)
    update(model, docs, optimizer, 3)
    trained = weights_of(model)
    with pytest.raises(KeyError), model.use_params(optimizer.averages):
        raise KeyError
    assert same(weights_of(model), trained)


def test_the_weights_return_after_averages_that_do_not_fit(
    make_model: MakeModel, docs: list[Doc]
) -> None:
    model = make_model()
    trained, shim_id = weights_of(model), model.shims[0].id
    averages = {(shim_id, name): numpy.zeros(value.shape) for name, value in trained.items()}
    averages[shim_id, "output.weight"] = numpy.zeros((99, 99))
    with pytest.raises(RuntimeError), model.use_params(averages):
        pass
    assert same(weights_of(model), trained)


def test_averages_of_another_model_change_nothing(make_model: MakeModel, docs: list[Doc]) -> None:
    model, other, optimizer = make_model(), make_model(), Adam(0.1, use_averages=True)
    update(other, docs, optimizer, 3)
    before = weights_of(model)
    with model.use_params(optimizer.averages):
        assert same(weights_of(model), before)


def test_only_the_parameters_that_are_given_are_replaced(make_model: MakeModel) -> None:
    model = make_model()
    before, shim_id = weights_of(model), model.shims[0].id
    with model.use_params({(shim_id, "output.bias"): numpy.ones(N_LABELS, "float32")}):
        expected = {**before, "output.bias": torch.ones(N_LABELS)}
        assert same(weights_of(model), expected)
    assert same(weights_of(model), before)


def test_parameters_may_be_used_before_there_is_a_network() -> None:
    shim = NetworkShim("TaggerNetwork", SETTINGS)
    with shim.use_params({(shim.id, "output.bias"): numpy.ones(N_LABELS)}):
        assert shim._learnt.network is None


@pytest.mark.parametrize("duplicate", COPIES)
def test_a_copy_has_the_same_weights_and_an_id_of_its_own(
    make_model: MakeModel, docs: list[Doc], duplicate: Callable[[Model], Model]
) -> None:
    model = make_model()
    copies = [duplicate(model), duplicate(model), duplicate(duplicate(model))]
    assert len({one.shims[0].id for one in [model, *copies]}) == 4
    assert all(same(weights_of(one), weights_of(model)) for one in copies)
    assert all(one.predict(docs)[0].tolist() == model.predict(docs)[0].tolist() for one in copies)


@pytest.mark.parametrize("duplicate", COPIES)
def test_a_copy_is_optimized_apart_from_its_original(
    make_model: MakeModel, docs: list[Doc], duplicate: Callable[[Model], Model]
) -> None:
    model, optimizer = make_model(), Adam(0.1, use_averages=True)
    update(model, docs, optimizer, 3)
    trained = weights_of(model)
    one, other = duplicate(model), duplicate(model)
    update(one, docs, optimizer, 2)
    update(other, docs, Adam(0.1, use_averages=True), 2)
    assert same(weights_of(model), trained)
    assert same(weights_of(one), weights_of(other))
    assert not same(weights_of(one), trained)


@pytest.mark.parametrize("settings", VARIANTS)
def test_bytes_bring_back_weights_and_scores_exactly(
    make_model: MakeModel, docs: list[Doc], settings: dict[str, Any]
) -> None:
    model = make_model(**settings)
    restored = LSTMTagger(**{**WIDTHS, "unknown_rate": 0.0, "window_length": 3, **settings})
    restored.from_bytes(model.to_bytes())
    assert same(weights_of(restored), weights_of(model))
    for scores, expected in zip(restored.predict(docs), model.predict(docs), strict=True):
        assert scores.tolist() == expected.tolist()


def test_bytes_replace_a_network_of_other_sizes(shim: NetworkShim) -> None:
    other = NetworkShim("TaggerNetwork", SETTINGS)
    other.build(Vocabulary("abcdefghi"), **{**SIZES, "n_labels": 8})
    assert other.from_bytes(shim.to_bytes()).to_bytes() == shim.to_bytes()
    assert other.network.output.out_features == N_LABELS


def test_a_shim_without_network_survives_bytes(shim: NetworkShim) -> None:
    empty = NetworkShim("TaggerNetwork", SETTINGS)
    shim.from_bytes(empty.to_bytes())
    with pytest.raises(ValueError, match="no weights yet"):
        shim.prepare_reader()
    assert shim.to_bytes() == empty.to_bytes()


def test_a_loaded_network_is_trained_on(make_model: MakeModel, docs: list[Doc]) -> None:
    model, restored = make_model(), make_model()
    restored.from_bytes(model.to_bytes())
    update(model, docs, SGD(0.1), 2)
    update(restored, docs, SGD(0.1), 2)
    assert same(weights_of(restored), weights_of(model))


def test_nothing_is_pickled(shim: NetworkShim, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("pickle was used")

    for module in (pickle, torch):
        for name in {"save", "load", "dump", "dumps", "loads", "Unpickler"} & set(dir(module)):
            monkeypatch.setattr(module, name, refuse)
    other = NetworkShim("TaggerNetwork", SETTINGS).from_bytes(shim.to_bytes())
    assert other.to_bytes() == shim.to_bytes()


def test_the_bytes_hold_bare_numbers_and_no_pickle(shim: NetworkShim) -> None:
    rest = shim.to_bytes()
    for value in shim.network.state_dict().values():
        assert value.numpy().tobytes() in rest
        rest = rest.replace(value.numpy().tobytes(), b"", 1)
    assert not [
        sign for sign in (b"PK", b"pickle", b"torch.", b"numpy", b"cpython") if sign in rest
    ]


@pytest.mark.parametrize("change", [0x01, 0x80, 0xFF])
def test_altered_bytes_are_refused(shim: NetworkShim, change: int) -> None:
    data = shim.to_bytes()
    for i in [*range(600), *range(600, len(data), 37), *range(len(data) - 60, len(data))]:
        damaged = bytearray(data)
        damaged[i] ^= change
        with pytest.raises(ValueError, match="damaged"):
            shim.from_bytes(bytes(damaged))
    assert shim.to_bytes() == data


def test_truncated_bytes_are_refused(shim: NetworkShim) -> None:
    data = shim.to_bytes()
    for length in [*range(600), *range(600, len(data), 37), len(data) - 1]:
        with pytest.raises(ValueError, match="damaged"):
            shim.from_bytes(data[:length])
    assert shim.to_bytes() == data


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x90", b"\x80", b"\xc0", b"weights", b"\x80\x80"])
def test_bytes_of_something_else_are_refused(shim: NetworkShim, data: bytes) -> None:
    before = shim.to_bytes()
    with pytest.raises(ValueError, match="damaged"):
        shim.from_bytes(data)
    assert shim.to_bytes() == before


@pytest.mark.parametrize(
    "setting, value",
    [
        ("word_width", 5),
        ("character_width", 4),
        ("character_lstm_width", 0),
        ("lstm_width", 5),
        ("depth", 2),
        ("bidirectional", False),
        ("affixes", False),
        ("include_static_vectors", True),
    ],
)
def test_bytes_of_other_settings_are_refused(shim: NetworkShim, setting: str, value: int) -> None:
    other = NetworkShim("TaggerNetwork", {**SETTINGS, setting: value})
    other.build(VOCABULARY, **{**SIZES, "vector_width": 2})
    before = other.to_bytes()
    with pytest.raises(ValueError, match=f"{setting} = {SETTINGS[setting]}.*{value}"):
        other.from_bytes(shim.to_bytes())
    assert other.to_bytes() == before


def with_weights(shim: NetworkShim, weights: dict[str, numpy.ndarray]) -> bytes:
    """Return what a shim saves, but with other weights."""
    message = srsly.msgpack_loads(shim.to_bytes()[CHECKSUM_LENGTH:])
    contents = srsly.msgpack_dumps({**message, "weights": safetensors.numpy.save(weights)})
    return crc32(contents).to_bytes(CHECKSUM_LENGTH, "big") + contents


@pytest.mark.parametrize(
    "change",
    [
        {"more.weight": numpy.zeros((2, 2), "float32")},
        {"words.weight": numpy.zeros((2, 2), "float32")},
        {"output.bias": numpy.full(N_LABELS, numpy.nan, "float32")},
        {"output.bias": numpy.zeros(N_LABELS, "float64")},
        {"output.bias": None},
    ],
    ids=["one more", "other shape", "not a number", "other type", "one less"],
)
def test_weights_must_have_names_and_shapes_of_the_network(
    shim: NetworkShim, change: dict[str, Any]
) -> None:
    before = shim.to_bytes()
    weights = {name: value.numpy() for name, value in shim.network.state_dict().items()} | change
    weights = {name: value for name, value in weights.items() if value is not None}
    with pytest.raises(ValueError, match=f"its weights are no.*: {next(iter(change))}"):
        shim.from_bytes(with_weights(shim, weights))
    assert shim.to_bytes() == before


@pytest.mark.parametrize("saved, loaded", [(LSTMTagger, LSTMTok2Vec), (LSTMTok2Vec, LSTMTagger)])
def test_bytes_of_another_architecture_are_refused(
    make_model: MakeModel, saved: Callable, loaded: Callable
) -> None:
    data, other = make_model(saved).shims[0].to_bytes(), make_model(loaded)
    before = weights_of(other)
    with pytest.raises(ValueError):
        other.shims[0].from_bytes(data)
    assert same(weights_of(other), before)


@pytest.mark.parametrize("architecture", [LSTMTagger, LSTMTok2Vec])
def test_without_network_nothing_runs(docs: list[Doc], architecture: Callable) -> None:
    model = architecture(**WIDTHS)
    for run in (model.predict, model.begin_update):
        with pytest.raises(ValueError, match="initialize"):
            run(docs)


@pytest.mark.parametrize("docs_at", [slice(0, 1), slice(0, 4)])
def test_dropout_reaches_training_and_not_prediction(
    make_model: MakeModel, docs: list[Doc], docs_at: slice
) -> None:
    model, batch = make_model(), docs[docs_at]
    expected = model.predict(batch)[0]
    set_dropout_rate(model, 0.5)
    first, second = (model.begin_update(batch)[0][0] for _ in range(2))
    assert (first != second).any()
    assert model.predict(batch)[0].tolist() == expected.tolist()


@pytest.mark.parametrize("training", [False, True])
def test_prediction_from_many_threads_equals_serial(
    make_model: MakeModel, docs: list[Doc], training: bool
) -> None:
    model = make_model(depth=2)
    set_dropout_rate(model, 0.5)
    batches = [docs[i % 4 :] + docs[: i % 3] for i in range(60)]
    expected = [[scores.tolist() for scores in model.predict(batch)] for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(model.begin_update, docs) for _ in range(60 * training)]
        found = list(pool.map(model.predict, batches))
    assert [[scores.tolist() for scores in batch] for batch in found] == expected
    assert all(run.exception() is None for run in runs)


def listen(model: Model, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by the number of types whenever some are embedded."""
    reader, embedded = model.shims[0].prepare_reader(), []
    embed = reader.embed

    def embed_and_tell(types: TypeIds) -> Floats2d:
        embedded.append(len(types.words))
        return embed(types)

    monkeypatch.setattr(reader, "embed", embed_and_tell)
    return embedded


@pytest.mark.parametrize("include_static_vectors", [False, True])
@pytest.mark.parametrize("architecture", [LSTMTagger, LSTMTok2Vec])
def test_each_type_is_embedded_once(
    make_model: MakeModel,
    docs: list[Doc],
    architecture: Callable,
    include_static_vectors: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = make_model(architecture, include_static_vectors=include_static_vectors)
    embedded = listen(model, monkeypatch)
    first = [model.predict(docs[:1]), model.predict(docs), model.predict(docs[::-1])]
    assert embedded == [5, 6]  # "The dog ate the apple", and the six other words
    for found, expected in zip(first[1], first[2][::-1], strict=True):
        numpy.testing.assert_allclose(found, expected, atol=1e-6)


def assert_fresh(model: Model, docs: list[Doc]) -> None:
    """Check that a model predicts as its copy, which remembers nothing."""
    scores, expected = (numpy.concatenate(m.predict(docs)) for m in (model, model.copy()))
    numpy.testing.assert_allclose(scores, expected, atol=1e-6)


def test_memory_ends_when_the_weights_change(make_model: MakeModel, docs: list[Doc]) -> None:
    model, optimizer = make_model(), Adam(0.1, use_averages=True)
    model.predict(docs)
    update(model, docs, optimizer, 5)
    assert_fresh(model, docs)
    with model.use_params(optimizer.averages):
        assert_fresh(model, docs)
    assert_fresh(model, docs)
    other = make_model()
    update(other, docs, Adam(0.3), 5)
    model.from_bytes(other.to_bytes())
    assert_fresh(model, docs)
    model.initialize(X=docs, Y=[numpy.zeros((len(doc), N_LABELS), "float32") for doc in docs])
    assert_fresh(model, docs)


@pytest.mark.parametrize("attr", ["ORTH", "NORM"])
def test_vectors_are_those_of_a_doc_whatever_stands_beside_it(
    make_model: MakeModel, docs: list[Doc], attr: str
) -> None:
    """Not those of another vocab, nor those that depend on a norm which a text gave a token."""
    model = make_model(include_static_vectors=True)
    table = numpy.random.RandomState(1).normal(size=(3, 4)).astype("float32")
    other = Vocab()
    other.vectors = Vectors(strings=other.strings, data=table, keys=["dog", "book", "ate"])
    vocab = docs[0].vocab
    vocab.vectors = Vectors(
        strings=vocab.strings, data=table[::-1], keys=["dog", "book", "the"], attr=attr
    )
    docs[3][2].norm_ = "book"
    batch = [*docs, Doc(other, words=["The", "dog", "ate"]), Doc(vocab, words=["old"])]
    alone = [model.predict([doc])[0] for doc in batch]
    for order in (range(6), [5, 4, 3, 2, 1, 0]):
        together = model.predict([batch[i] for i in order])
        for i, scores in zip(order, together, strict=True):
            numpy.testing.assert_allclose(scores, alone[i], atol=1e-6)
    assert abs(alone[4] - alone[0][:3]).max() > 0.01


def exchange(vocab: Vocab) -> None:
    data = numpy.full((3, 4), 5.0, dtype="float32")
    vocab.vectors = Vectors(strings=vocab.strings, data=data, keys=["dog", "book", "the"])


CHANGES: dict[str, Callable[[Vocab], Any]] = {
    "other vectors": exchange,
    "other data": lambda vocab: setattr(vocab.vectors, "data", vocab.vectors.data[::-1].copy()),
    "all in place": lambda vocab: vocab.vectors.data.fill(5.0),
    "one number in place": lambda vocab: vocab.vectors.data[0].__setitem__(3, 5.0),
    "set_vector": lambda vocab: vocab.set_vector("dog", numpy.ones(4, "float32")),
    "another row": lambda vocab: vocab.vectors.add("dog", row=2),
    "a key that was missing": lambda vocab: vocab.vectors.add("ate", row=2),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_static_vectors_may_be_exchanged(
    make_model: MakeModel, docs: list[Doc], change: Callable[[Vocab], Any]
) -> None:
    model = make_model(include_static_vectors=True)
    before = numpy.concatenate(model.predict(docs))
    change(docs[0].vocab)
    assert (numpy.concatenate(model.predict(docs)) != before).any()
    assert_fresh(model, docs)


def test_floret_vectors_may_be_exchanged(
    make_model: MakeModel, docs: list[Doc], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, vocab = make_model(include_static_vectors=True), docs[0].vocab
    tables = numpy.random.RandomState(0).normal(size=(2, 9, 4)).astype("float32")
    embedded, before = listen(model, monkeypatch), []
    for table in tables:
        vocab.vectors = Vectors(strings=vocab.strings, data=table, mode="floret", minn=2, maxn=3)
        for _ in range(2):
            scores = numpy.concatenate(model.predict(docs)).tolist()
        assert scores not in before
        before.append(scores)
        assert_fresh(model, docs)
    assert embedded == [11, 11]


def test_threads_get_the_vectors_of_their_docs(make_model: MakeModel, docs: list[Doc]) -> None:
    model, batches = make_model(include_static_vectors=True), []
    for i in range(4):
        vocab = Vocab()
        vocab.vectors = Vectors(data=numpy.full((1, 4), i, "float32"), keys=["dog"])
        batches.append([Doc(vocab, words=["the", "dog", f"w{j}"]) for j in range(20)])
    expected = [numpy.concatenate(model.copy().predict(batch)) for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        for i, scores in enumerate(pool.map(model.predict, 10 * batches)):
            numpy.testing.assert_allclose(numpy.concatenate(scores), expected[i % 4], atol=1e-6)


def test_weights_that_change_while_a_reader_is_made_leave_none_behind(
    make_model: MakeModel, docs: list[Doc], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, optimizer = make_model(), SGD(0.5)

    def update_meanwhile(weights: Any) -> Reader:
        stale = reader_of({name: values.copy() for name, values in weights.items()})
        monkeypatch.setattr(held, "reader_of", reader_of)
        update(model, docs, optimizer)  # as another thread could
        return stale

    monkeypatch.setattr(held, "reader_of", update_meanwhile)
    model.predict(docs)
    assert_fresh(model, docs)


def with_another_vocabulary(shim: NetworkShim) -> bytes:
    """Return what a shim with other words and weights saves."""
    other = NetworkShim("TaggerNetwork", shim.cfg)
    other.build(Vocabulary(["that"]), vector_width=0, n_labels=3)
    for parameter in other.network.parameters():
        nn.init.normal_(parameter)
    return other.to_bytes()


def test_a_reader_and_its_vocabulary_belong_together(
    make_model: MakeModel, docs: list[Doc], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model()
    expected, data = model.copy().predict(docs), with_another_vocabulary(model.shims[0])

    def load_meanwhile(weights: Any) -> Reader:
        monkeypatch.setattr(held, "reader_of", reader_of)
        model.shims[0].from_bytes(data)  # as another thread could
        return reader_of(weights)

    monkeypatch.setattr(held, "reader_of", load_meanwhile)
    for scores, own in zip(model.predict(docs), expected, strict=True):
        assert scores.tolist() == own.tolist()
    assert_fresh(model, docs)


def test_an_update_that_fails_leaves_no_stale_reader(
    make_model: MakeModel, docs: list[Doc]
) -> None:
    model, sgd, changed = make_model(), SGD(0.5), []

    def fail_at_last(key: Any, weights: Any, gradient: Any) -> Any:
        if changed:
            raise KeyError
        changed.append(key)
        return sgd(key, weights, gradient)

    model.predict(docs)
    train_step(model, docs)
    with pytest.raises(KeyError):
        model.finish_update(fail_at_last)
    assert_fresh(model, docs)


def test_threads_predict_with_old_weights_or_new_ones_while_others_are_loaded(
    make_model: MakeModel, docs: list[Doc]
) -> None:
    model, other = make_model(), make_model()
    update(other, docs, SGD(0.5))
    shim, versions = model.shims[0], [make_model().shims[0].to_bytes()]
    versions += [with_another_vocabulary(shim), other.shims[0].to_bytes()]
    expected = []
    for data in versions:
        shim.from_bytes(data)
        expected.append([scores.tolist() for scores in model.predict(docs)])

    def load(i: int) -> None:
        shim.from_bytes(versions[i % 3])
        shim.network  # noqa: B018  # as training would

    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(model.predict, docs) for _ in range(200)]
        for i in range(50):
            load(i)
    for run in found:
        assert [scores.tolist() for scores in run.result()] in expected
    assert_fresh(model, docs)


def test_a_loaded_model_predicts_without_a_torch_network(
    make_model: MakeModel, docs: list[Doc]
) -> None:
    model = make_model()
    restored = LSTMTagger(**{**WIDTHS, "unknown_rate": 0.0, "window_length": 3})
    data = model.to_bytes()
    restored.from_bytes(data).predict(docs)
    assert restored.to_bytes() == data
    assert restored.shims[0]._learnt.network is None


def test_a_network_of_a_newer_format_is_refused(
    shim: NetworkShim, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = learnt.FORMAT + 1
    with monkeypatch.context() as later:
        later.setattr(learnt, "FORMAT", newer)
        data = shim.to_bytes()
    with pytest.raises(ValueError, match=f"format {newer}, of a newer version"):
        shim.from_bytes(data)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_vocabulary_that_grows_changes_no_score(variant: dict[str, Any]) -> None:
    docs = [Doc(Vocab(), words=["apple", "ate", "a", "b"])]
    docs[0].vocab.vectors = Vectors(data=numpy.ones((1, 2), "float32"), keys=["apple"])
    model = LSTMTagger(**{**SETTINGS, **variant}, unknown_rate=0.0)
    vector_width = 2 * model.shims[0].cfg["include_static_vectors"]
    model.shims[0].build(
        Vocabulary("abc", ["<a"], "abc"), vector_width=vector_width, n_labels=N_LABELS
    )
    model.set_dim("nO", N_LABELS)
    for parameter in model.shims[0].network.parameters():
        nn.init.normal_(parameter)
    predicted = model.predict(docs)[0]
    expected = model.ops.softmax(predicted)
    for _ in range(2):
        numpy.testing.assert_allclose(model.begin_update(docs)[0][0], expected, atol=1e-6)
    assert list(model.shims[0].vocabulary.words) == ["a", "b", "c", "apple", "ate"]
    numpy.testing.assert_allclose(model.predict(docs)[0], predicted, atol=1e-6)
    restored = LSTMTagger(**{**SETTINGS, **variant}).from_bytes(model.to_bytes())
    numpy.testing.assert_allclose(restored.predict(docs)[0], predicted, atol=1e-6)


def test_ids_that_came_later_are_unknown_to_a_reader(shim: NetworkShim) -> None:
    reader, unknown = shim.prepare_reader(), ids_of(["?"], Vocabulary())
    expected = reader.embed(unknown)
    shim.learn(News(["?"], [*affixes("?")], ["?"], frequent=[]))
    known = ids_of(["?"], shim.vocabulary)
    assert min(known.words.min(), known.affixes.min(), known.spellings.min()) > 0
    assert reader.embed(known).tolist() == expected.tolist()


def test_what_is_new_is_trained_and_kept(make_model: MakeModel, docs: list[Doc]) -> None:
    model, optimizer = make_model(), Adam(0.01)
    docs = [*docs, Doc(docs[0].vocab, words=["wugs", "blicked"])]
    update(model, docs, optimizer, 3)
    assert {"wugs", "blicked"} <= model.shims[0].vocabulary.words.keys()
    restored = make_model().from_bytes(model.to_bytes())
    for own, other in zip(model.predict(docs), restored.predict(docs), strict=True):
        numpy.testing.assert_allclose(own, other, atol=1e-6)
    update(restored, docs, optimizer, 1)
    assert (restored.predict(docs)[-1] != model.predict(docs)[-1]).any()


def test_averages_reach_rows_that_were_added(make_model: MakeModel, docs: list[Doc]) -> None:
    model, optimizer = make_model(), Adam(0.01, use_averages=True)
    update(model, [Doc(docs[0].vocab, words=["wugs"])], optimizer, 3)
    names = [name for name in parameters_of(model) if name.startswith("words.")]
    assert len(names) == 2
    assert all((model.shims[0].id, name) in optimizer.averages for name in names)
