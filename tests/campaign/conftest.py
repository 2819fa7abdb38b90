"""The campaign: how large it is, the pipeline that it attacks, and what it tells at its end.

`python -m pytest tests/campaign --campaign` runs the whole of it, the default suite a small share.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

hypothesis = pytest.importorskip("hypothesis")

N_EXAMPLES = {"whole": 2000, "share": 20}
TEXTS = [
    ["The", "dog", "ate", "the", "apple"],
    [],
    ["an", "unknown", "🐈", " "],
    ["Everybody", "read", "that", "book", "that", "dog"],
]
FOUND = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Let Hypothesis try as many examples as the size of the campaign says."""
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # to shrink takes long
    always: dict[str, Any] = {"deadline": None, "database": None, "phases": phases}
    hypothesis.settings.register_profile("whole", max_examples=N_EXAMPLES["whole"], **always)
    hypothesis.settings.register_profile(
        "share", max_examples=N_EXAMPLES["share"], derandomize=True, **always
    )
    hypothesis.settings.load_profile("whole" if config.getoption("--campaign") else "share")
    config.stash[FOUND] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was tried, how often, and what it took."""
    if config.getoption("--campaign"):
        terminalreporter.section("campaign")
        for line in config.stash[FOUND]:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def size(pytestconfig: pytest.Config) -> Callable[[int, int], int]:
    """Return a function that chooses between the numbers of the whole campaign and of its share."""
    is_whole = pytestconfig.getoption("--campaign")
    return lambda whole, share: whole if is_whole else share


@pytest.fixture(scope="session")
def tell(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Return a function that takes a line for the campaign's summary."""
    return pytestconfig.stash[FOUND].append


@pytest.fixture(scope="session")
def pipeline(train: Callable[..., Language], tiny: dict[str, Any]) -> Language:
    """A trained pipeline of two components: tags with a lexicon, and parts of speech with a CRF.
    Not to be changed.
    """
    nlp = spacy.blank("xx")
    nlp.add_pipe("lstm_pos_tagger", name="parts", config={"model": {**tiny, "crf": True}})
    train(nlp, name="tags")
    nlp.get_pipe("tags").cfg["lexicon"] = {"apple": ["NN", "V"]}
    return nlp


@pytest.fixture(scope="session")
def saved(pipeline: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the trained pipeline. Not to be changed."""
    folder = tmp_path_factory.mktemp("campaign") / "pipeline"
    pipeline.to_disk(folder)
    return folder


@pytest.fixture(scope="session")
def answers() -> Callable[[Language], dict[str, Any]]:
    """Return a function that asks a pipeline for all that it says of some texts."""

    def ask(nlp: Language) -> dict[str, Any]:
        docs = [Doc(nlp.vocab, words=words) for words in TEXTS]
        found: dict[str, Any] = {}
        for name, component in nlp.pipeline:
            found[f"{name} labels"] = component.labels
            found[f"{name} scores"] = _bytes_of(component.model.predict(docs))
            found[f"{name} probabilities"] = _bytes_of(component.predict_probabilities(docs))
            docs = list(component.pipe(docs))
        found["tags"] = [[(token.tag_, token.pos_) for token in doc] for doc in docs]
        return found

    return ask


@pytest.fixture
def no_thread_changed() -> Iterator[None]:
    """Check that PyTorch has as many threads after a test as before it."""
    import torch

    before = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == before


def _bytes_of(arrays: list[numpy.ndarray]) -> list[bytes]:
    return [numpy.ascontiguousarray(array).tobytes() for array in arrays]
