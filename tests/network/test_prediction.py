"""Tests of `prediction.py`: all ways to predict against the network's own."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from spacy_lstm_tagger.network import prediction
from spacy_lstm_tagger.network.encoder import LSTMEncoder, TaggerNetwork
from spacy_lstm_tagger.network.inputs import TypeIds, Windows
from spacy_lstm_tagger.network.prediction import reader_of

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
    {"n_labels": 1, "bidirectional": False},
]
LENGTHS = [4, 1, 6, 2, 2]
KEYS = [17, 4, 0, 99, 23, 8, 5, 41]


def make_network(**settings: Any) -> LSTMEncoder:
    """Make a network all of whose parameters are far from zero."""
    torch.manual_seed(0)
    network_class = TaggerNetwork if "n_labels" in settings else LSTMEncoder
    network = network_class(**{**SETTINGS, **settings})
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.5)
    return network


def make_ids(kept: Sequence[int] | None = None) -> tuple[TypeIds, Windows]:
    """Return ids of eight types, and some windows."""
    random = torch.Generator().manual_seed(1)
    n_types, n_positions = len(KEYS), sum(LENGTHS)
    lengths = torch.randint(1, 5, (n_types,), generator=random)
    types = TypeIds(
        words=torch.randint(7, (n_types,), generator=random),
        affixes=torch.randint(6, (n_types, 3), generator=random),
        spellings=torch.randint(8, (int(lengths.sum()),), generator=random),
        spelling_lengths=lengths,
        vectors=torch.randn((n_types, 4), generator=random),
    )
    return types, Windows(
        types=torch.randint(n_types, (n_positions,), generator=random),
        lengths=torch.tensor(LENGTHS),
        kept=torch.tensor(range(n_positions) if kept is None else kept, dtype=torch.int64),
    )


def some_of(types: TypeIds, indices: Sequence[int]) -> TypeIds:
    """Return the ids of some types."""
    ends = list(accumulate(types.spelling_lengths.tolist()))
    begins = [0, *ends]
    chosen = list(indices)
    return TypeIds(
        words=types.words[chosen],
        affixes=types.affixes[chosen],
        spellings=torch.cat([types.spellings[begins[i] : ends[i]] for i in chosen]),
        spelling_lengths=types.spelling_lengths[chosen],
        vectors=types.vectors[chosen],
    )


def read(reader: Any, ids: tuple[TypeIds, Windows], **settings: Any) -> Tensor:
    with torch.inference_mode():
        return reader.read(KEYS, lambda some: some_of(ids[0], some), ids[1], **settings)


@pytest.mark.parametrize("min_columns", [1, 1000])
@pytest.mark.parametrize("kept", [None, [], [3, 4, 14]])
@pytest.mark.parametrize("settings", VARIANTS)
def test_a_reader_reads_as_the_network_does(
    settings: dict[str, Any],
    kept: list[int] | None,
    min_columns: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prediction, "MIN_COLUMNS", min_columns)
    network, ids = make_network(**settings), make_ids(kept)
    reader, (expected, _) = reader_of(network, False), network(*ids)
    for remember in (True, True, False):
        assert_close(read(reader, ids, remember=remember), expected)


def test_a_thread_does_not_wait_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "MIN_COLUMNS", 1)
    network, ids = make_network(n_labels=4), make_ids()
    reader = reader_of(network, False)
    with reader._turn:  # as while another thread reads
        alone = read(reader, ids)
    assert_close(alone, network(*ids)[0])
    assert_close(read(reader, ids), alone)


@pytest.mark.parametrize("max_types", [1, 3, 8])
def test_types_are_embedded_some_at_a_time(max_types: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction, "MAX_TYPES", max_types)
    network, ids = make_network(n_labels=4), make_ids()
    n_described = []

    def describe(some: Sequence[int]) -> TypeIds:
        n_described.append(len(some))
        return some_of(ids[0], some)

    with torch.inference_mode():
        found = reader_of(network, False).read(KEYS, describe, ids[1])
    assert_close(found, network(*ids)[0])
    assert sum(n_described) == 8 and max(n_described) == max_types


@pytest.mark.usefixtures("needs_bf16")
@pytest.mark.parametrize("settings", VARIANTS)
def test_bf16_is_close_and_its_output_is_fp32(settings: dict[str, Any]) -> None:
    network, ids = make_network(**settings), make_ids()
    found, exact = read(reader_of(network, True), ids), read(reader_of(network, False), ids)
    assert found.dtype == torch.float32
    assert_close(found, exact, rtol=0.05, atol=0.05)
    assert (found != exact).any()
