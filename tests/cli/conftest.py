"""A trained pipeline, and corpora as files."""

from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.tokens import DocBin
from typer.testing import CliRunner, Result


@pytest.fixture(scope="session")
def pipeline(train: Callable, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of a pipeline with an `lstm_tagger`."""
    path = tmp_path_factory.mktemp("pipeline")
    train(spacy.blank("xx")).to_disk(path)
    return str(path)


@pytest.fixture(scope="session")
def corpus(make_examples: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a DocBin: the two sentences, and the first one with a wrong tag."""
    docs = [example.reference for example in make_examples(spacy.blank("xx"))]
    docs.append(docs[0].copy())
    docs[2][1].tag_ = "DET"
    path = tmp_path_factory.mktemp("corpus") / "dev.spacy"
    DocBin(docs=docs).to_disk(path)
    return path


@pytest.fixture(scope="session")
def run() -> Callable[..., Result]:
    """Return a function that runs `python -m spacy lstm-tagger` in this process."""
    from spacy_lstm_tagger.cli.commands import lstm_tagger_cli

    def run_command(*words: str | Path) -> Result:
        return CliRunner().invoke(lstm_tagger_cli, [str(word) for word in words])

    return run_command
