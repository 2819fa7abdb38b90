"""Tests of `cache.py`: right rows, bounded memory, many threads."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest

from spacy_lstm_tagger.prediction import cache as cache_module
from spacy_lstm_tagger.prediction.cache import ENTRY_SIZE, Generation, Tables, TypeCache

WIDTHS = [2, 1]
ROW_SIZE = 4 * sum(WIDTHS) + ENTRY_SIZE


def rows_of(types: list[int]) -> Tables:
    """Return rows that show their keys."""
    return [numpy.repeat(numpy.asarray(types, "float32")[:, None], w, axis=1) for w in WIDTHS]


class Maker:
    """Makes rows that show their keys, and lists the keys."""

    def __init__(self) -> None:
        self.made: list[list[int]] = []

    def make(self, types: list[int]) -> Tables:
        self.made.append(types)
        return rows_of(types)

    def find(self, cache: TypeCache, types: list[int]) -> Tables:
        """Find types in a cache, and check that each has the right row."""
        tables, rows = cache.find(types, self.make)
        for table, width in zip(tables, WIDTHS, strict=True):
            assert table[rows].tolist() == [[number] * width for number in types]
            assert table[0].tolist() == [0] * width
        return tables


@pytest.fixture
def maker() -> Maker:
    return Maker()


def test_each_type_is_made_once(maker: Maker) -> None:
    cache = TypeCache()
    for types in ([5, 3, 3], [3, 8, 5, 1, 8], [1, 5], [8]):
        maker.find(cache, types)
    assert maker.made == [[5, 3], [8, 1]]


def test_a_full_cache_is_emptied(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "CACHE_SIZE", 4 * ROW_SIZE)
    cache = TypeCache()
    tables = [maker.find(cache, types) for types in ([1, 2, 3], [3, 4], [2, 5], [5, 2], [1])]
    assert maker.made == [[1, 2, 3], [4], [2, 5], [1]]
    assert {len(table) for pair in tables for table in pair} == {1 + 4}


def test_a_batch_larger_than_the_cache_is_not_cached(
    maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "CACHE_SIZE", 3 * ROW_SIZE)
    cache = TypeCache()
    for types in ([1, 2, 3, 4], [1, 2], [2, 1], [1, 2, 3, 4], [2]):
        maker.find(cache, types)
    assert maker.made == [[1, 2, 3, 4], [1, 2], [1, 2, 3, 4]]


def test_no_thread_waits_for_another(maker: Maker) -> None:
    cache = TypeCache()
    maker.find(cache, [1])
    with cache._lock:  # as in a process that was forked while another thread added rows
        maker.find(cache, [1])
        maker.find(cache, [1, 2])
    maker.find(cache, [2])
    assert maker.made == [[1], [2], [1, 2], [2]]


def test_rows_stay_when_another_thread_adds_some(maker: Maker) -> None:
    cache = TypeCache()
    maker.find(cache, [2])

    def make(types: list[int]) -> Tables:
        maker.find(cache, [7, 8, 9])
        return rows_of(types)

    tables, rows = cache.find([1, 2], make)
    assert [table[rows].tolist() for table in tables] == [[[1, 1], [2, 2]], [[1], [2]]]
    maker.find(cache, [9, 7, 1])
    assert maker.made == [[2], [7, 8, 9]]


def test_rows_are_written_before_they_can_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that finds a type while another adds it has its row, or none."""

    class Spy(dict[int, int]):
        def update(self, pairs) -> None:  # type: ignore[no-untyped-def,override]
            for number, row in pairs:
                assert [table[row, 0] for table in generation.tables] == [number, number]
                self[number] = row

    generation = Generation([3], rows_of([3]), capacity=5)
    generation.rows = Spy(generation.rows)
    generation.add([8, 6], rows_of([8, 6]))
    assert set(generation.rows) == {3, 8, 6}


@pytest.mark.usefixtures("eager_threads")
@pytest.mark.parametrize("capacity", [40, 400])
def test_many_threads_always_find_the_right_rows(
    capacity: int, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_module, "CACHE_SIZE", capacity * ROW_SIZE)
    cache = TypeCache()

    def work(seed: int) -> None:
        random = numpy.random.default_rng(seed)
        for _ in range(200):
            maker.find(cache, random.integers(300, size=20).tolist())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


@pytest.mark.usefixtures("eager_threads")
def test_rows_that_take_long_to_write_are_found_only_when_complete() -> None:
    """One thread adds types, others look for them all the time."""
    width, n_types = 20_000, 50

    def make(types: list[int]) -> Tables:
        return [numpy.repeat(numpy.asarray(types, "float32")[:, None], width, axis=1)]

    generation = Generation([1], make([1]), capacity=400)
    generation.tables[0][2:] = -1

    def look(_: int) -> bool:
        found = 0
        while found < 400:
            numbers = [*generation.rows.copy()]
            tables, rows = generation.find(numbers[found:])
            if not (tables[0][rows, -1] == numbers[found:]).all():
                return False
            found = len(numbers)
        return True

    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(look, i) for i in range(4)]
        for begin in range(2, 401, n_types):
            types = [*range(begin, min(begin + n_types, 401))]
            generation.add(types, make(types))
    assert all(run.result() for run in runs)


@pytest.mark.parametrize("width", [1, 64, 2048])
@pytest.mark.parametrize("n_threads", [1, 4])
def test_memory_is_bounded(width: int, n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 2**20
    monkeypatch.setattr(cache_module, "CACHE_SIZE", size)
    cache = TypeCache()

    def make(types: list[int]) -> Tables:
        return [numpy.ones((len(types), width), "float32")]

    def work(thread: int) -> int:
        most = 0
        for i in range(20_000 // n_threads // 50):
            begin = (thread << 40) + 50 * i
            cache.find([*range(begin, begin + 50)], make)
            most = max(most, tracemalloc.get_traced_memory()[0])
        return most

    tracemalloc.start()
    try:
        with ThreadPoolExecutor(n_threads) as pool:
            most = max(pool.map(work, range(n_threads)))
        own_tables = 4 * 50 * 4 * width
        assert most <= (n_threads + 1) * size + n_threads * own_tables + size // 10
        assert tracemalloc.get_traced_memory()[0] <= 1.1 * size
    finally:
        tracemalloc.stop()
