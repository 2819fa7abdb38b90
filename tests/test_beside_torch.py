"""Tests of a pipeline inside an application that uses PyTorch for work of its own."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from threading import Barrier
from typing import Any

import pytest
import spacy
import torch
from spacy.language import Language
from spacy.training import Example
from spacy.util import load_model_from_config
from thinc.api import fix_random_seed

TEXTS = ["The dog ate the apple", "Everybody read that unheard-of book"]

Train = Callable[..., Language]


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


SETTINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "cpu": lambda: torch.device("cpu"),
    "meta": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
}


def start(crf: bool, tiny: dict[str, Any], examples_of: Callable) -> tuple[Language, Any, Any]:
    """Return a pipeline before its training, an optimizer, and examples."""
    fix_random_seed(0)
    nlp = spacy.blank("xx")
    nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "crf": crf}})
    examples = examples_of(nlp)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.03
    return nlp, optimizer, examples


def update(nlp: Language, optimizer: Any, examples: list[Example], n_times: int = 3) -> None:
    for _ in range(n_times):
        nlp.update(examples, sgd=optimizer, drop=0.1)


def scores_of(nlp: Language) -> list[Any]:
    docs = [nlp.make_doc(text) for text in TEXTS]
    with nlp.select_pipes(enable=[]):
        return [p.tolist() for p in nlp.get_pipe("lstm_tagger").predict_probabilities(docs)]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("crf", [False, True])
def test_settings_of_pytorch_change_nothing(crf: bool, name: str, tiny, make_examples) -> None:
    """Training, averages, saving, loading and prediction inside a setting are those outside."""

    def run() -> tuple[list[Any], list[Any], bytes]:
        nlp, optimizer, examples = start(crf, tiny, make_examples)
        update(nlp, optimizer, examples)
        with nlp.use_params(optimizer.averages):
            data, averaged = nlp.to_bytes(), scores_of(nlp)
        loaded = load_model_from_config(nlp.config).from_bytes(data)
        assert scores_of(loaded) == averaged
        fix_random_seed(0)
        update(loaded, loaded.resume_training(), make_examples(loaded))
        return averaged, scores_of(loaded), loaded.to_bytes()

    expected = run()
    with SETTINGS[name]():
        assert run() == expected


@pytest.mark.parametrize("crf", [False, True])
def test_the_threads_of_pytorch_stay_as_they_are(crf: bool, tiny, make_examples) -> None:
    """In threads of the application, which train and predict at the same time."""
    barrier = Barrier(4)

    def work(i: int) -> set[int]:
        if i % 2:
            torch.set_num_threads(3)  # for this thread, and for those that begin later
        barrier.wait()
        nlp, optimizer, examples = start(crf, tiny, make_examples)
        seen = set()
        for _ in range(2):
            update(nlp, optimizer, examples, 1)
            scores_of(nlp)
            seen.add(torch.get_num_threads())
        return seen

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        for _ in range(2):
            with ThreadPoolExecutor(4) as pool:
                assert set.union(*pool.map(work, range(4))) == {3}
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system can't fork processes")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_trains_and_predicts(tiny, make_examples) -> None:
    nlp, optimizer, examples = start(True, tiny, make_examples)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        torch.ones(1000, 1000).tanh()  # begins a thread that a forked process doesn't have
        update(nlp, optimizer, examples)
        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()

        def work() -> None:
            update(nlp, optimizer, examples)
            queue.put(scores_of(nlp))

        process = context.Process(target=work)
        process.start()
        process.join(60)
        if process.is_alive():
            process.kill()
        update(nlp, optimizer, examples)
        assert process.exitcode == 0
        assert queue.get() == scores_of(nlp)
    finally:
        torch.set_num_threads(before)


def test_processes_of_a_pipeline_that_was_just_trained(nlp: Language, train: Train) -> None:
    train(nlp)
    expected = [[token.tag_ for token in doc] for doc in nlp.pipe(TEXTS * 4)]
    docs = nlp.pipe(TEXTS * 4, n_process=2, batch_size=2)
    assert [[token.tag_ for token in doc] for doc in docs] == expected
