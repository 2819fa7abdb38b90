"""Tests of `reader.py`: prediction with NumPy against the network's own."""

import subprocess
import sys
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from numpy.testing import assert_allclose
from spacy_lstm_tagger.prediction.inputs import Floats2d, TypeIds, Windows
from torch import nn

from spacy_lstm_tagger.network.encoder import LSTMEncoder, TaggerNetwork
from spacy_lstm_tagger.prediction import reader as reader_module
from spacy_lstm_tagger.prediction.reader import Reader, reader_of

SETTINGS: dict[str, Any] = {
    "n_words": 6,
    "n_affixes": 5,
    "n_characters": 7,
    "vector_width": 4,
    "word_width": 5,
    "character_width": 4,
    "character_lstm_width": 3,
    "lstm_width": 6,
    "depth": 1,
    "bidirectional": True,
    "affixes": True,
    "include_static_vectors": True,
}
VARIANTS: list[dict[str, Any]] = [
    {},
    {"depth": 3},
    {"depth": 2, "bidirectional": False},
    {"bidirectional": False, "character_lstm_width": 0},
    {"n_labels": 4},
    {"n_labels": 4, "depth": 2},
    {"static_vector_width": 3},
    {"n_labels": 4, "static_vector_width": 2, "character_lstm_width": 0},
    {"n_labels": 1, "bidirectional": False},
    {"n_labels": 4, "bidirectional": False, "lookahead": 1},
    {"n_labels": 4, "bidirectional": False, "lookahead": 5, "depth": 2},
]
LENGTHS = [4, 1, 6, 2, 2]
TYPES = [17, 4, 0, 99, 23, 8, 5, 41]  # the numbers by which they are known
BLOCKED = """
import sys
from types import ModuleType
sys.modules["spacy"] = sys.modules["thinc"] = sys.modules["torch"] = None
package = sys.modules["spacy_lstm_tagger"] = ModuleType("spacy_lstm_tagger")
package.__path__ = [sys.argv[1]]
from spacy_lstm_tagger.prediction import crf, reader
print(reader.Reader.__name__)
"""


def make_network(**settings: Any) -> LSTMEncoder:
    """Make a network all of whose parameters are far from zero."""
    torch.manual_seed(0)
    network_class = TaggerNetwork if "n_labels" in settings else LSTMEncoder
    network = network_class(**{**SETTINGS, **settings})
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    return network


def prepare(network: LSTMEncoder) -> Reader:
    return reader_of({name: values.numpy() for name, values in network.state_dict().items()})


def make_ids(
    kept: Sequence[int] | None = None, lengths: Sequence[int] = LENGTHS
) -> tuple[TypeIds, Windows]:
    """Return ids of eight types, and some windows."""
    random = numpy.random.default_rng(1)
    n_types, n_positions = len(TYPES), sum(lengths)
    spelling_lengths = random.integers(1, 5, size=n_types)
    types = TypeIds(
        words=numpy.asarray([0, 3, 1, 6, 0, 2, 5, 4]),
        affixes=random.integers(6, size=(n_types, 3)),
        spellings=random.integers(8, size=spelling_lengths.sum()),
        spelling_lengths=spelling_lengths,
        vectors=random.normal(size=(n_types, 4)).astype("float32"),
    )
    return types, Windows(
        types=random.integers(n_types, size=n_positions),
        lengths=numpy.asarray(lengths),
        kept=numpy.asarray(range(n_positions) if kept is None else kept, dtype="int64"),
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


def read(reader: Reader, ids: tuple[TypeIds, Windows]) -> Floats2d:
    types, windows = ids
    numbered = windows._replace(types=numpy.asarray(TYPES)[windows.types])

    def describe(some: list[int]) -> TypeIds:
        return some_of(types, [TYPES.index(number) for number in some])

    return reader.read(numbered, describe)


def expected_of(network: LSTMEncoder, ids: tuple[TypeIds, Windows]) -> Floats2d:
    with torch.inference_mode():
        return network(*(type(part)(*map(torch.from_numpy, part)) for part in ids))[0].numpy()


@pytest.mark.parametrize("lengths", [LENGTHS, [7]])
@pytest.mark.parametrize("kept", [None, [], [3, 4, 6]])
@pytest.mark.parametrize("settings", VARIANTS)
def test_a_reader_reads_as_the_network_does(
    settings: dict[str, Any], kept: list[int] | None, lengths: list[int]
) -> None:
    network, ids = make_network(**settings), make_ids(kept, lengths)
    reader, expected = prepare(network), expected_of(network, ids)
    assert reader.width == network.output_width
    for _ in range(2):
        assert_allclose(read(reader, ids), expected, atol=1e-5)


@pytest.mark.parametrize("off", ["affixes", "include_static_vectors"])
def test_parts_of_the_input_can_be_left_out(off: str) -> None:
    network, ids = make_network(**{off: False}), make_ids()
    assert_allclose(read(prepare(network), ids), expected_of(network, ids), atol=1e-5)


@pytest.mark.parametrize("max_types", [1, 3, 8])
def test_types_are_embedded_some_at_a_time(max_types: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "MAX_TYPES", max_types)
    network, ids = make_network(n_labels=4), make_ids()
    reader, sizes = prepare(network), []
    embed = reader.embed
    monkeypatch.setattr(reader, "embed", lambda ids: sizes.append(len(ids.words)) or embed(ids))
    assert_allclose(read(reader, ids), expected_of(network, ids), atol=1e-5)
    assert sum(sizes) == len({*ids[1].types.tolist()}) and max(sizes) <= max_types


def test_weights_are_shared_not_copied() -> None:
    network = make_network()
    weights = prepare(network)._weights
    for name, parameter in network.named_parameters():
        assert numpy.shares_memory(weights[name], parameter.detach().numpy())


def test_prediction_needs_neither_torch_nor_spacy() -> None:
    folder = Path(reader_module.__file__).parent.parent
    command = [sys.executable, "-c", BLOCKED, str(folder)]
    assert subprocess.check_output(command, text=True).strip() == "Reader"
