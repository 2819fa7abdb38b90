"""Tests of `blas.py`: products, and the number of threads."""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy
import pytest
from numpy.testing import assert_allclose

from spacy_lstm_tagger.prediction import blas
from spacy_lstm_tagger.prediction.blas import OneThread, multiply


class Library:
    """A library with one number of threads for the whole process."""

    architecture = "Haswell"

    def __init__(self, n_threads: int) -> None:
        self.n_threads = n_threads

    def get_num_threads(self) -> int:
        return self.n_threads

    def set_num_threads(self, n_threads: int) -> None:
        self.n_threads = n_threads


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    library = Library(4)
    monkeypatch.setattr(blas, "_libraries", lambda: [library])
    blas._few_rows.cache_clear()
    yield library
    blas._few_rows.cache_clear()


@pytest.mark.parametrize("architecture", ["Haswell", "Zen", "SkylakeX"])
@pytest.mark.parametrize("n_rows", [1, 2, 5, 6, 7, 100])
@pytest.mark.parametrize("stack", [1, 2])
def test_products_equal_numpy(n_rows: int, stack: int, architecture: str, library: Library) -> None:
    library.architecture = architecture
    random = numpy.random.default_rng(0)
    rows = random.normal(size=(stack, n_rows, 16)).astype("float32")
    weights = random.normal(size=(3, stack, 16, 24)).astype("float32")
    wide = numpy.zeros((3, stack, n_rows + 3, 24), dtype="float32")
    multiply(rows, weights, wide[:, :, :n_rows])
    assert_allclose(wide[:, :, :n_rows], rows @ weights, rtol=1e-4, atol=1e-5)
    assert not wide[:, :, n_rows:].any()


def test_one_thread_runs_inside_and_as_many_as_before_outside(library: Library) -> None:
    one_thread = OneThread()
    with one_thread:
        assert library.n_threads == 1
        with one_thread:
            assert library.n_threads == 1
        assert library.n_threads == 1
    assert library.n_threads == 4


def test_the_number_of_threads_is_restored_after_an_exception(library: Library) -> None:
    with pytest.raises(KeyError), OneThread():
        raise KeyError
    assert library.n_threads == 4


def test_interleaved_threads_restore_the_number(library: Library) -> None:
    one_thread, barrier = OneThread(), Barrier(4)

    def work(_: int) -> set[int]:
        seen = set()
        for _ in range(50):
            with one_thread:
                seen.add(library.n_threads)
        barrier.wait()
        return seen

    for _ in range(3):
        with ThreadPoolExecutor(4) as pool:
            assert set.union(*pool.map(work, range(4))) == {1}
        assert library.n_threads == 4


def test_a_number_that_the_application_sets_meanwhile_is_kept(library: Library) -> None:
    with OneThread():
        library.set_num_threads(3)
    assert library.n_threads == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork processes")
def test_a_process_that_is_forked_meanwhile_has_the_number_before(library: Library) -> None:
    one_thread = OneThread()
    results = multiprocessing.get_context("fork").SimpleQueue()

    def work() -> None:
        before = library.n_threads
        with one_thread:
            inside = library.n_threads
        results.put((before, inside, library.n_threads))

    with one_thread:
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        process.join(30)
    assert process.exitcode == 0
    assert results.get() == (4, 1, 4)


def test_any_thread_can_set_the_number_of_threads_of_numpy() -> None:
    libraries = blas._libraries()
    if not libraries:
        pytest.skip("NumPy calls no OpenBLAS with threads of its own")
    before = [library.get_num_threads() for library in libraries]

    def inside(_: int) -> list[int]:
        with blas.one_thread:
            return [library.get_num_threads() for library in libraries]

    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        for pool in (first, second, first):
            assert list(pool.map(inside, [0])) == [[1] * len(libraries)]
    assert [library.get_num_threads() for library in libraries] == before
