"""Forked and spawned processes tag as one does, whatever PyTorch and other threads did before."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

WATCHDOG = 300  # seconds until a process that hangs is killed
SCRIPT = """
import multiprocessing
import sys
import warnings
from threading import Event, Thread

import spacy
import torch
from spacy.training import Example

# That a process of many threads is forked is just what is tried.
warnings.filterwarnings("ignore", category=DeprecationWarning)


def tags(nlp, texts, **settings):
    return [[token.tag_ for token in doc] for doc in nlp.pipe(texts, batch_size=5, **settings)]


def train(folder):
    nlp = spacy.load(folder)
    words = {"words": ["The", "dog"], "tags": ["DET", "NN"], "pos": ["DET", "NOUN"]}
    examples = [Example.from_dict(nlp.make_doc("The dog"), words)] * 20
    optimizer = nlp.resume_training()
    for _ in range(3):
        nlp.update(examples, sgd=optimizer)
    return nlp


def main(folder, method, where, n):
    multiprocessing.set_start_method(method)
    torch.set_num_threads(2)
    nlp = train(folder)
    torch.ones(400, 400) @ torch.ones(400, 400)
    texts = [f"The dog ate{i} " * (1 + i % 7) for i in range(n)]
    expected = tags(spacy.load(folder).from_bytes(nlp.to_bytes()), texts)
    found, done = [], Event()

    def tag_in_processes():
        found.append(tags(nlp, texts, n_process=2))

    def tag_on():
        while not done.is_set():
            tags(nlp, texts[:20])

    busy = [Thread(target=tag_on) for _ in range(4 if where == "beside threads" else 0)]
    for thread in busy:
        thread.start()
    if where == "from a thread":
        thread = Thread(target=tag_in_processes)
        thread.start()
        thread.join()
    else:
        tag_in_processes()
    done.set()
    print(found == [expected], torch.get_num_threads())


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
"""
WAYS = [
    (method, where)
    for method in ("fork", "spawn")
    for where in ("at first", "from a thread", "beside threads")
]


@pytest.mark.parametrize("method, where", WAYS)
def test_processes_tag_as_one_does(
    saved: Path, tmp_path: Path, size: Callable, tell: Callable, method: str, where: str
) -> None:
    n_rounds, n = size(5, 1), size(300, 20)
    if not size(True, (method, where) == ("fork", "from a thread")):
        pytest.skip("only --campaign does so: to start a process takes seconds")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, script, saved, method, where, str(n)]
    for _ in range(n_rounds):
        run = subprocess.run(command, capture_output=True, text=True, timeout=WATCHDOG)
        assert run.stdout.split() == ["True", "2"], run.stdout + run.stderr
    tell(f"Processes: {method}, {where}: {n_rounds} times {n} Docs, 0 wrong, 0 hung")
