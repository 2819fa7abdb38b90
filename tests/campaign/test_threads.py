"""Many threads share a pipeline, while a copy of it trains and it is loaded again and again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from itertools import cycle
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

N_THREADS = 8
OTHER_SENTENCES = [
    ("A cat saw the pear", "V DET NN V DET"),
    ("Nobody wrote the book", "DET NN V DET"),
]

pytestmark = pytest.mark.usefixtures("no_thread_changed")


@pytest.fixture(scope="module", params=[{}, {"crf": True}], ids=str)
def folders(
    request: pytest.FixtureRequest,
    train: Callable,
    tiny: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Path]:
    """Two pipelines that learnt other words, and other tags for them, but the same set of tags."""
    paths = [tmp_path_factory.mktemp("version") for _ in range(2)]
    nlp = train(spacy.blank("xx"), model={**tiny, **request.param})
    nlp.to_disk(paths[0])
    examples = []
    for text, tags in OTHER_SENTENCES:
        doc = Doc(nlp.vocab, words=text.split())
        examples.append(Example(doc, Doc(nlp.vocab, words=text.split(), tags=tags.split())))
    teach(nlp, examples, 40)
    nlp.to_disk(paths[1])
    return paths


def teach(nlp: Language, examples: list[Example], n_updates: int) -> None:
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.03
    for _ in range(n_updates):
        nlp.update(examples, sgd=optimizer)


def texts(thread: int, n: int) -> list[str]:
    """Return texts of which each has a word that no other has."""
    return [f"The dog{thread}x{i} saw that book the {i}th{thread} cat" for i in range(n)]


def tags(nlp: Language, texts: list[str]) -> list[list[str]]:
    return [[token.tag_ for token in doc] for doc in nlp.pipe(texts, batch_size=5)]


def repeat(until: Event, act: Callable[[], Any]) -> int:
    """Do something again and again until an event; say how often."""
    n = 0
    while not until.is_set():
        act()
        n += 1
    return n


def run_beside(act: list[Callable[[], Any]], nlp: Language, n: int) -> tuple[list, list[int]]:
    """Tag texts in many threads, while other threads do something again and again."""
    done = Event()
    with ThreadPoolExecutor(N_THREADS + len(act)) as pool:
        others = [pool.submit(repeat, done, one) for one in act]
        results = [pool.submit(tags, nlp, texts(i, n)) for i in range(N_THREADS)]
        try:
            found = [result.result(timeout=600) for result in results]
        finally:
            done.set()
        return found, [other.result(timeout=600) for other in others]


def test_cold_start(folders: list[Path], size: Callable, tell: Callable) -> None:
    n_rounds, n = size(20, 2), size(50, 5)
    reference = spacy.load(folders[0])
    expected = [tags(reference, texts(i, n)) for i in range(N_THREADS)]
    for _ in range(n_rounds):
        found, _ = run_beside([], spacy.load(folders[0]), n)
        assert found == expected
    tell(f"Threads: {n_rounds} cold starts, {n_rounds * N_THREADS * n} Docs, 0 wrong")


def test_a_copy_trains(
    folders: list[Path], make_examples: Callable, size: Callable, tell: Callable
) -> None:
    n, nlp = size(2000, 20), spacy.load(folders[0])
    copied = deepcopy(nlp)
    examples = make_examples(copied)
    copied.update(examples)  # the first one imports much
    found, (n_updates,) = run_beside([lambda: copied.update(examples)], nlp, n)
    reference = spacy.load(folders[0])
    assert found == [tags(reference, texts(i, n)) for i in range(N_THREADS)]
    tell(f"Threads: {N_THREADS * n} Docs beside {n_updates} updates of a copy, 0 wrong")


def test_the_original_is_loaded_again(folders: list[Path], size: Callable, tell: Callable) -> None:
    n, nlp = size(2000, 20), spacy.load(folders[0])
    component: Any = nlp.get_pipe("lstm_tagger")
    paths = cycle(folder / "lstm_tagger" for folder in reversed(folders))
    found, (n_loads,) = run_beside(
        [lambda: component.from_disk(next(paths), exclude=["vocab"])], nlp, n
    )
    references = [spacy.load(folder) for folder in folders]
    for i, docs in enumerate(found):
        for answers in zip(docs, *(tags(one, texts(i, n)) for one in references), strict=True):
            assert answers[0] in answers[1:]
    tell(f"Threads: {N_THREADS * n} Docs while loaded {n_loads} times, 0 of no version")
