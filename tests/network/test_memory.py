"""Tests of `memory.py`."""

from collections.abc import Sequence

import pytest
import torch

from spacy_lstm_tagger.network import memory as memory_module
from spacy_lstm_tagger.network.memory import Memory, Tables

WIDTHS = [2, 1]
ROW_SIZE = 4 * sum(WIDTHS)


class Maker:
    """Makes rows that tell their keys, and remembers which."""

    def __init__(self) -> None:
        self.made: list[list[int]] = []

    def find(self, memory: Memory, keys: list[int]) -> Tables:
        """Find keys in a memory, and check that each has the right row."""

        def make(some: Sequence[int]) -> Tables:
            self.made.append([keys[i] for i in some])
            return [torch.tensor(self.made[-1])[:, None].expand(-1, w).float() for w in WIDTHS]

        tables, rows = memory.find(keys, make)
        for table, width in zip(tables, WIDTHS, strict=True):
            assert table[list(rows)].tolist() == [[key] * width for key in keys]
        return tables


@pytest.fixture
def maker() -> Maker:
    return Maker()


def test_what_was_found_is_not_made_again(maker: Maker) -> None:
    memory = Memory()
    for keys in ([5, 3], [3, 8, 5, 1], [1, 5], [8]):
        maker.find(memory, keys)
    assert maker.made == [[5, 3], [8, 1]]


def test_when_there_is_no_room_all_others_are_forgotten(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_module, "MEMORY_SIZE", 4 * ROW_SIZE)
    memory = Memory()
    tables = [maker.find(memory, keys) for keys in ([1, 2, 3], [3, 4], [2, 5], [5, 2], [1])]
    assert maker.made == [[1, 2, 3], [4], [2, 5], [1]]
    assert {len(table) for pair in tables for table in pair} == {4}


def test_more_than_there_is_room_for_is_found_and_not_remembered(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_module, "MEMORY_SIZE", 2 * ROW_SIZE)
    memory = Memory()
    for keys in ([1, 2, 3], [1, 2], [2, 1], [1, 2, 3], [2]):
        maker.find(memory, keys)
    assert maker.made == [[1, 2, 3], [1, 2], [1, 2, 3]]


def test_nobody_waits_for_another(maker: Maker) -> None:
    memory = Memory()
    maker.find(memory, [1])
    with memory._lock:  # as in a process that was forked while another thread added rows
        maker.find(memory, [1])
        maker.find(memory, [1, 2])
    maker.find(memory, [2])
    assert maker.made == [[1], [2], [1, 2], [2]]


def test_rows_stay_when_others_are_added_meanwhile(maker: Maker) -> None:
    memory = Memory()

    def make(some: Sequence[int]) -> Tables:
        maker.find(memory, [7, 8, 9])
        return [torch.ones(len(some), width) for width in WIDTHS]

    tables, rows = memory.find([1], make)
    assert [table[rows[0]].tolist() for table in tables] == [[1.0, 1.0], [1.0]]
    maker.find(memory, [9, 7])
    assert maker.made == [[7, 8, 9]]
