"""What the tests of engines share: texts in Parquet files, and the tags that they must get."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import spacy

from spacy_lstm_tagger.batch import TagBatch

N_TEXTS = 240


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return [f"The dog ate wug{i} and everybody read book {i % 7}" for i in range(N_TEXTS)]


@pytest.fixture(scope="session")
def parquet(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Parquet files that hold the texts."""
    pandas = pytest.importorskip("pandas")
    folder = tmp_path_factory.mktemp("texts")
    for i in range(4):
        part = range(i, N_TEXTS, 4)
        frame = pandas.DataFrame({"id": part, "text": [texts[j] for j in part]})
        frame.to_parquet(folder / f"{i}.parquet")
    return folder


@pytest.fixture(scope="session")
def expected(texts: list[str], saved_pipeline: Path) -> dict[int, list[str]]:
    """The tags of each text, by its id."""
    docs = spacy.load(saved_pipeline).pipe(texts)
    return {i: [token.tag_ for token in doc] for i, doc in enumerate(docs)}


@pytest.fixture
def mortal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[TagBatch]:
    """A `TagBatch` whose process is killed once, after it has tagged a batch."""
    killed = tmp_path / "killed"

    class Mortal(TagBatch):
        def __call__(self, batch: Any) -> Any:
            tagged = super().__call__(batch)
            if not killed.exists():
                killed.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return tagged

    return Mortal


@pytest.fixture(autouse=True)
def python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers run the Python that runs the tests."""
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
