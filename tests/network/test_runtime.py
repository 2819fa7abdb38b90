"""Tests of `runtime.py`: training runs in one thread, with gradients, in fp32."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Barrier

import pytest
import torch

from spacy_lstm_tagger.network.runtime import one_thread, training

COUNT_THREADS = """
import os
import torch
from spacy_lstm_tagger.network.runtime import one_thread

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


def test_one_thread_runs_inside_and_as_many_as_before_outside() -> None:
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


def test_other_threads_keep_their_number_of_threads() -> None:
    """Also threads that use PyTorch for the first time meanwhile."""
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
def test_no_thread_is_started_inside(n_threads: int) -> None:
    command = [sys.executable, "-c", COUNT_THREADS.format(n_threads=n_threads)]
    subprocess.run(command, check=True, timeout=60)


@pytest.mark.parametrize(
    "setting",
    [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)],
    ids=["no_grad", "inference_mode", "autocast"],
)
def test_training_has_gradients_in_fp32(setting: Callable[[], AbstractContextManager]) -> None:
    layer, inputs = torch.nn.Linear(4, 4), torch.ones(3, 4)
    with setting(), training():
        outputs = layer(inputs)
        outputs.sum().backward()
    assert outputs.dtype == torch.float32
    assert layer.weight.grad is not None and layer.weight.grad.tolist() == [[3.0] * 4] * 4


def test_training_leaves_the_settings_as_they_were() -> None:
    n_threads = torch.get_num_threads()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        with training():
            assert torch.get_num_threads() == 1
        assert not torch.is_grad_enabled()
        assert torch.is_autocast_enabled("cpu")
    assert torch.get_num_threads() == n_threads
