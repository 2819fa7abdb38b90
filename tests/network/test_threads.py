"""Tests of `threads.py`: one thread inside, and as many as before outside."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from spacy_lstm_tagger.network.threads import one_thread

COUNT_THREADS = """
import os
import torch
from spacy_lstm_tagger.network.threads import one_thread

if {n_threads}:
    torch.set_num_threads({n_threads})
lstm, rows = torch.nn.LSTM(50, 128), torch.ones(400, 400)
before = len(os.listdir("/proc/self/task"))
with one_thread():
    (rows @ rows).tanh().sum()
    lstm(torch.ones(20, 64, 50))[0].sum().backward()
    assert len(os.listdir("/proc/self/task")) == before
assert torch.get_num_threads() == ({n_threads} or torch.get_num_threads())
"""


def test_there_is_one_thread_inside_and_as_many_as_before_outside() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(5)
        with one_thread():
            assert torch.get_num_threads() == 1
            with one_thread():
                assert torch.get_num_threads() == 1
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 5
        with pytest.raises(KeyError), one_thread():
            raise KeyError
        assert torch.get_num_threads() == 5
    finally:
        torch.set_num_threads(before)


def test_other_threads_keep_theirs() -> None:
    """Those that use PyTorch for the first time meanwhile, too."""
    before, barrier = torch.get_num_threads(), Barrier(2, timeout=30)

    def inside() -> int:
        with one_thread():
            barrier.wait()
            barrier.wait()
        return torch.get_num_threads()

    try:
        torch.set_num_threads(5)
        with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
            run = first.submit(inside)
            barrier.wait()
            assert second.submit(torch.get_num_threads).result() == 5
            assert torch.get_num_threads() == 5
            barrier.wait()
            assert run.result() == 5
            assert second.submit(torch.get_num_threads).result() == 5
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the threads of a process")
@pytest.mark.parametrize("n_threads", [0, 2])
def test_no_thread_begins_inside(n_threads: int) -> None:
    command = [sys.executable, "-c", COUNT_THREADS.format(n_threads=n_threads)]
    subprocess.run(command, check=True, timeout=60)
