"""Tests of `weights.py`: what a network has learnt, as bytes."""

import gc
import pickle
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import safetensors.numpy
import srsly
import torch
from spacy.tokens import Doc
from thinc.api import SGD
from torch import nn

from spacy_lstm_tagger.model import weights as weights_module
from spacy_lstm_tagger.model.architectures import LSTMTagger, LSTMTok2Vec
from spacy_lstm_tagger.model.shim import NetworkShim, network_of
from spacy_lstm_tagger.model.types import DocModel
from spacy_lstm_tagger.model.vocabulary import Vocabulary, to_lists
from spacy_lstm_tagger.model.weights import garbage_collection_unchanged, load
from spacy_lstm_tagger.prediction.config import Sizes, TaggerConfig

MakeModel = Callable[..., DocModel]
Function = Callable[..., Any]


@pytest.mark.parametrize("architecture", [LSTMTagger, LSTMTok2Vec])
def test_bytes_restore_vocabulary_weights_and_outputs_exactly(
    make_model: MakeModel,
    weight_lists: Function,
    widths: dict[str, int],
    docs: list[Doc],
    architecture: Callable[..., DocModel],
    variant: dict[str, Any],
) -> None:
    settings = {**widths, "unknown_rate": 0.0, "window_length": 3, **variant}
    model = make_model(architecture, **settings)
    restored = architecture(**settings).from_bytes(model.to_bytes())
    assert restored.get_dim("nO") == model.get_dim("nO")
    for outputs, expected in zip(restored.predict(docs), model.predict(docs), strict=True):
        assert outputs.tolist() == expected.tolist()
    assert weight_lists(restored) == weight_lists(model)
    restored_words, words = (to_lists(network_of(m).vocabulary) for m in (restored, model))
    assert restored_words == words


def test_bytes_replace_a_network_of_other_sizes(shim: NetworkShim) -> None:
    other = NetworkShim(shim.config)
    other.build(Vocabulary("abcdefghi"), n_labels=8)
    assert other.from_bytes(shim.to_bytes()).to_bytes() == shim.to_bytes()
    assert other.network.output.out_features == 3


def test_bytes_of_an_empty_shim_replace_a_network(shim: NetworkShim) -> None:
    empty = NetworkShim(shim.config)
    shim.from_bytes(empty.to_bytes())
    with pytest.raises(ValueError, match="no weights yet"):
        shim.prepare()
    assert shim.to_bytes() == empty.to_bytes()


def test_training_continues_after_loading(
    make_model: MakeModel, update: Function, weight_lists: Function, docs: list[Doc]
) -> None:
    model, restored = make_model(), make_model()
    restored.from_bytes(model.to_bytes())
    update(model, docs, SGD(0.1), 2)
    update(restored, docs, SGD(0.1), 2)
    assert weight_lists(restored) == weight_lists(model)


@pytest.mark.parametrize(
    "settings",
    [{"min_frequency": 3}, {"max_words": 2}, {"unknown_rate": 0.9}, {"window_length": 7}],
    ids=str,
)
def test_settings_for_training_can_differ(
    make_model: MakeModel, widths: dict[str, int], docs: list[Doc], settings: dict[str, Any]
) -> None:
    model = make_model()
    restored = LSTMTagger(**widths, **settings).from_bytes(model.to_bytes())
    for scores, expected in zip(restored.predict(docs), model.predict(docs), strict=True):
        assert scores.tolist() == expected.tolist()


def test_nothing_is_pickled(shim: NetworkShim, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("pickle was used")

    for module in (pickle, torch):
        for name in {"save", "load", "dump", "dumps", "loads", "Unpickler"} & set(dir(module)):
            monkeypatch.setattr(module, name, refuse)
    other = NetworkShim(shim.config).from_bytes(shim.to_bytes())
    assert other.to_bytes() == shim.to_bytes()


def test_the_bytes_contain_bare_numbers_and_no_pickle(shim: NetworkShim) -> None:
    for parameter in shim.network.parameters():
        nn.init.normal_(parameter)
    rest = shim.to_bytes()
    for value in shim.network.state_dict().values():
        assert value.numpy().tobytes() in rest
        rest = rest.replace(value.numpy().tobytes(), b"", 1)
    assert not [
        sign for sign in (b"PK", b"pickle", b"torch.", b"numpy", b"cpython") if sign in rest
    ]


@pytest.mark.parametrize("change", [0x01, 0x80, 0xFF])
def test_altered_bytes_are_refused_or_give_a_network_that_fits(
    shim: NetworkShim, change: int
) -> None:
    """A component's checksum refuses all of them."""
    data, n_refused = shim.to_bytes(), 0
    sizes = Sizes(n_words=5, n_affixes=5, n_characters=5, n_labels=3)
    for i in [*range(900), *range(900, len(data), 37), *range(len(data) - 60, len(data))]:
        damaged = bytearray(data)
        damaged[i] ^= change
        try:
            loaded = load(bytes(damaged), shim.config)
        except ValueError:
            n_refused += 1
            continue
        weights, vocabulary = loaded.finite_weights(), loaded.vocabulary
        assert {name: w.shape for name, w in weights.items()} == shim.config.shapes(sizes)
        assert vocabulary is not None
        assert vocabulary.sizes == {"n_words": 5, "n_affixes": 5, "n_characters": 5}
        assert len(vocabulary.is_rare) == 6
    assert n_refused > 500  # nearly all of what is not a weight


def test_truncated_bytes_are_refused(shim: NetworkShim) -> None:
    data = shim.to_bytes()
    for length in [*range(900), *range(900, len(data), 37), len(data) - 1]:
        with pytest.raises(ValueError):
            shim.from_bytes(data[:length])
    assert shim.to_bytes() == data


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x90", b"\x80", b"\xc0", b"weights", b"\x80\x80"])
def test_bytes_of_something_else_are_refused(shim: NetworkShim, data: bytes) -> None:
    before = shim.to_bytes()
    with pytest.raises(ValueError):
        shim.from_bytes(data)
    assert shim.to_bytes() == before


@pytest.mark.parametrize(
    "setting, value",
    [
        ("word_width", 5),
        ("character_width", 3),
        ("character_lstm_width", 0),
        ("lstm_width", 6),
        ("depth", 2),
        ("bidirectional", False),
        ("affixes", False),
        ("include_static_vectors", True),
    ],
)
def test_bytes_of_other_settings_are_refused_by_name(
    shim: NetworkShim, widths: dict[str, int], setting: str, value: int
) -> None:
    other = NetworkShim(TaggerConfig(**{**widths, setting: value}))
    other.build(Vocabulary("abcde"), vector_width=2, n_labels=3)
    before = other.to_bytes()
    message = rf"{setting} = {getattr(shim.config, setting)} \(here {value}\)$"
    with pytest.raises(ValueError, match=message):
        other.from_bytes(shim.to_bytes())
    assert other.to_bytes() == before


def changed(shim: NetworkShim, **changes: Any) -> bytes:
    """Return what a shim saves, with changes."""
    return srsly.msgpack_dumps({**srsly.msgpack_loads(shim.to_bytes()), **changes})


@pytest.mark.parametrize(
    "change",
    [
        {"more.weight": numpy.zeros((2, 2), "float32")},
        {"words.weight": numpy.zeros((2, 2), "float32")},
        {"output.bias": numpy.full(3, numpy.nan, "float32")},
        {"output.bias": numpy.zeros(3, "float64")},
        {"output.bias": None},
    ],
    ids=["one more", "other shape", "not a number", "other type", "one less"],
)
def test_weights_must_have_the_names_and_shapes_of_the_network(
    shim: NetworkShim, change: dict[str, Any]
) -> None:
    before = shim.to_bytes()
    weights = {name: value.numpy() for name, value in shim.network.state_dict().items()} | change
    saved = {name: value for name, value in weights.items() if value is not None}
    with pytest.raises(ValueError, match=f"its weights .*: {next(iter(change))}"):
        shim.from_bytes(changed(shim, weights=safetensors.numpy.save(saved)))
    assert shim.to_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"words": ["a", "b", "c", "d"]},
        {"words": ["a", "b", "c", "d", "d"]},
        {"affixes": ["a", "b", "c", "d", 5]},
        {"characters": ["a", "b", "c", "d", "e", "f"]},
        {"characters": ["a", "b", "c", "d", None]},
        {"is_rare": b""},
        {"is_rare": b"\x00\x00"},
    ],
    ids=["too few", "twice", "a number", "too many", "none", "no bits", "too many bits"],
)
def test_a_vocabulary_must_fit_the_sizes(shim: NetworkShim, change: dict[str, Any]) -> None:
    before = shim.to_bytes()
    vocabulary = {**to_lists(shim.vocabulary), **change}
    with pytest.raises(ValueError, match="its vocabulary is damaged: it must"):
        shim.from_bytes(changed(shim, vocabulary=vocabulary))
    assert shim.to_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        {"sizes": {}},
        {"sizes": {"n_words": "5", "n_affixes": 5, "n_characters": 5}},
        {"sizes": [5, 5, 5]},
        {"vocabulary": None},
        {"weights": b""},
        {"weights": None},
        {"settings": None},
        {"format": None},
        {"format": "1"},
    ],
    ids=str,
)
def test_forged_bytes_raise_a_value_error(shim: NetworkShim, change: dict[str, Any]) -> None:
    before = shim.to_bytes()
    with pytest.raises(ValueError):
        shim.from_bytes(changed(shim, **change))
    assert shim.to_bytes() == before


@pytest.mark.parametrize("saved, loaded", [(LSTMTagger, LSTMTok2Vec), (LSTMTok2Vec, LSTMTagger)])
def test_bytes_of_another_architecture_are_refused(
    make_model: MakeModel, weight_lists: Function, saved: Callable, loaded: Callable
) -> None:
    data, other = network_of(make_model(saved)).to_bytes(), make_model(loaded)
    before = weight_lists(other)
    with pytest.raises(ValueError, match="network = "):
        network_of(other).from_bytes(data)
    assert weight_lists(other) == before


def test_a_newer_format_is_refused(shim: NetworkShim, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = weights_module.FORMAT + 1
    with monkeypatch.context() as later:
        later.setattr(weights_module, "FORMAT", newer)
        data = shim.to_bytes()
    with pytest.raises(ValueError, match=f"has format {newer}, .*Upgrade"):
        shim.from_bytes(data)


@pytest.mark.parametrize("value", [numpy.nan, numpy.inf])
def test_weights_that_are_not_finite_are_not_saved(shim: NetworkShim, value: float) -> None:
    shim.network.output.bias.data[1] = value
    for use in (shim.to_bytes, shim.prepare):
        with pytest.raises(ValueError, match=r"NaN or infinity \(output.bias\)"):
            use()


@pytest.mark.parametrize("is_on", [True, False])
@pytest.mark.parametrize("fails", [True, False])
def test_garbage_collection_stays_as_it_is(is_on: bool, fails: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if is_on else gc.disable)()
        try:
            with garbage_collection_unchanged():
                (gc.disable if is_on else gc.enable)()
                if fails:
                    raise KeyError
        except KeyError:
            pass
        assert gc.isenabled() == is_on
    finally:
        (gc.enable if before else gc.disable)()
