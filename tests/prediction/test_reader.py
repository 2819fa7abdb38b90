"""Tests of `reader.py`: prediction in NumPy equals the PyTorch network."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from numpy.testing import assert_allclose

from spacy_lstm_tagger.network.encoder import LSTMEncoder
from spacy_lstm_tagger.prediction import reader as reader_module
from spacy_lstm_tagger.prediction.config import EncoderConfig, TaggerConfig
from spacy_lstm_tagger.prediction.reader import Reader, TaggerReader, reader_of
from spacy_lstm_tagger.prediction.types import Floats2d, Ints1d, TypeIds, Windows

MakeNetwork = Callable[..., LSTMEncoder]
Ids = tuple[TypeIds, Ints1d, Windows]

VARIANTS: list[tuple[type[EncoderConfig], dict[str, Any]]] = [
    (EncoderConfig, {}),
    (EncoderConfig, {"depth": 3}),
    (EncoderConfig, {"depth": 2, "bidirectional": False}),
    (EncoderConfig, {"bidirectional": False, "character_lstm_width": 0}),
    (EncoderConfig, {"affixes": False}),
    (EncoderConfig, {"include_static_vectors": False}),
    (TaggerConfig, {}),
    (TaggerConfig, {"depth": 2}),
    (TaggerConfig, {"character_lstm_width": 0}),
    (TaggerConfig, {"bidirectional": False}),
    (TaggerConfig, {"bidirectional": False, "lookahead": 1}),
    (TaggerConfig, {"bidirectional": False, "lookahead": 5, "depth": 2}),
]
LENGTHS = [4, 1, 6, 2, 2]
KEYS = [17, 4, 0, 99, 2**64 - 1, 8, 5, 41]  # of eight types
BLOCKED = """
import sys
from types import ModuleType
sys.modules["spacy"] = sys.modules["thinc"] = sys.modules["torch"] = None
package = sys.modules["spacy_lstm_tagger"] = ModuleType("spacy_lstm_tagger")
package.__path__ = [sys.argv[1]]
from spacy_lstm_tagger.prediction import crf, reader
print(reader.Reader.__name__)
"""


def prepare(network: LSTMEncoder) -> Reader:
    weights = {name: values.numpy() for name, values in network.state_dict().items()}
    return reader_of(network.config, weights)


def make_ids(kept: Sequence[int] | None = None, lengths: Sequence[int] = LENGTHS) -> Ids:
    """Return ids of eight types, the type of each token, and some windows. Tokens are numbered from
    the last position to the first.
    """
    random = numpy.random.default_rng(1)
    n_types, n_positions = len(KEYS), sum(lengths)
    spelling_lengths = random.integers(1, 5, size=n_types)
    types = TypeIds(
        words=numpy.asarray([0, 3, 1, 6, 0, 2, 5, 4]),
        affixes=random.integers(6, size=(n_types, 3)),
        spellings=random.integers(8, size=spelling_lengths.sum()),
        spelling_lengths=spelling_lengths,
        vectors=random.normal(size=(n_types, 4)).astype("float32"),
    )
    return (
        types,
        random.integers(n_types, size=n_positions),
        Windows(
            tokens=numpy.arange(n_positions)[::-1].copy(),
            lengths=numpy.asarray(lengths),
            kept=numpy.asarray(range(n_positions) if kept is None else kept, dtype="int64"),
        ),
    )


def some_of(types: TypeIds, indices: Sequence[int]) -> TypeIds:
    """Return the ids of some types."""
    ends = list(accumulate(types.spelling_lengths.tolist()))
    begins = [0, *ends]
    chosen = list(indices)
    return TypeIds(
        words=types.words[chosen],
        affixes=types.affixes[chosen],
        spellings=numpy.concatenate([types.spellings[begins[i] : ends[i]] for i in chosen]),
        spelling_lengths=types.spelling_lengths[chosen],
        vectors=types.vectors[chosen],
    )


def read(reader: Reader, ids: Ids) -> Floats2d:
    types, of_tokens, windows = ids

    def describe(some: list[int]) -> TypeIds:
        return some_of(types, [KEYS.index(key) for key in some])

    return reader.read(numpy.asarray(KEYS, dtype="uint64")[of_tokens], windows, describe)


def expected_of(network: LSTMEncoder, ids: Ids) -> Floats2d:
    types, of_tokens, windows = ids
    with torch.inference_mode():
        tensors = (type(part)(*map(torch.from_numpy, part)) for part in (types, windows))
        of_types, of_windows = tensors
        return network(of_types, torch.from_numpy(of_tokens), of_windows)[0].numpy()


@pytest.mark.parametrize("lengths", [LENGTHS, [7]])
@pytest.mark.parametrize("kept", [None, [], [3, 4, 6]])
@pytest.mark.parametrize(("config_class", "settings"), VARIANTS)
def test_a_reader_computes_what_the_network_computes(
    make_network: MakeNetwork,
    config_class: type[EncoderConfig],
    settings: dict[str, Any],
    kept: list[int] | None,
    lengths: list[int],
) -> None:
    network, ids = make_network(config_class, **settings), make_ids(kept, lengths)
    reader, expected = prepare(network), expected_of(network, ids)
    assert reader.width == expected.shape[1]
    for _ in range(2):
        found = read(reader, ids)
        assert found.dtype == "float32"
        assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("lookahead", [0, 2])
@pytest.mark.parametrize("depth", [1, 2])
def test_reading_word_by_word_equals_reading_at_once(
    make_network: MakeNetwork, depth: int, lookahead: int
) -> None:
    ids = make_ids(lengths=[9])
    network = make_network(bidirectional=False, depth=depth, lookahead=lookahead)
    reader, (types, of_tokens, windows) = prepare(network), ids
    assert isinstance(reader, TaggerReader)
    state, scores = reader.start(), numpy.zeros((9, reader.width), dtype="float32")
    for position, i in enumerate(of_tokens[windows.tokens].tolist()):
        step = reader.step(KEYS[i], lambda _, i=i: some_of(types, [i]), state)
        for distance, contribution in enumerate(step[: position + 1]):
            scores[position - distance] += contribution
    assert_allclose(scores, expected_of(network, ids), atol=1e-5)


@pytest.mark.parametrize("max_types", [1, 3, 8])
def test_types_are_embedded_some_at_a_time(
    make_network: MakeNetwork, max_types: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "MAX_TYPES", max_types)
    network, ids = make_network(), make_ids()
    reader, sizes = prepare(network), []
    embed = reader.embed
    monkeypatch.setattr(reader, "embed", lambda ids: sizes.append(len(ids.words)) or embed(ids))
    assert_allclose(read(reader, ids), expected_of(network, ids), atol=1e-5)
    assert sum(sizes) == len({*ids[1].tolist()}) and max(sizes) <= max_types


@pytest.mark.parametrize("name", ["words.weight", "affixes.weight", "vectors.hidden.weight"])
def test_large_weights_are_shared_not_copied(make_network: MakeNetwork, name: str) -> None:
    network, (types, *_) = make_network(), make_ids()
    reader = prepare(network)
    before = reader.embed(types)
    network.get_parameter(name).data *= 2
    assert (reader.embed(types) != before).any()


def test_prediction_needs_neither_torch_nor_spacy() -> None:
    folder = Path(reader_module.__file__).parent.parent
    command = [sys.executable, "-c", BLOCKED, str(folder)]
    assert subprocess.check_output(command, text=True).strip() == "Reader"
