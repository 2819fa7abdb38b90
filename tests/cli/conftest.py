"""A trained pipeline, and corpora as files."""

from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from helpers import CNN, LISTENER
from spacy.tokens import DocBin
from thinc.api import fix_random_seed
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
def teacher(make_examples: Callable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of a pipeline of spaCy's own components: a tagger, a morphologizer and a
    parser that listen to one encoder, and what comes behind them.
    """
    fix_random_seed(0)
    nlp = spacy.blank("xx")
    nlp.add_pipe("tok2vec", config={"model": CNN})
    model = {"@architectures": "spacy.Tagger.v2", "tok2vec": LISTENER}
    for name in ("tagger", "morphologizer"):
        nlp.add_pipe(name, config={"model": model})
    nlp.add_pipe("senter", config={"model": model})
    nlp.add_pipe("sentencizer")
    examples = make_examples(nlp)
    for example in examples:
        for token in example.reference:
            token.is_sent_start = token.i == 0
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.02
    for _ in range(20):
        nlp.update(examples, sgd=optimizer)
    ruler = nlp.add_pipe("attribute_ruler", before="senter")
    ruler.add([[{"TAG": "NN"}]], {"LEMMA": "thing"})
    nlp.tokenizer.add_special_case("thebook", [{"ORTH": "the"}, {"ORTH": "book"}])
    nlp.meta["name"] = "teacher"
    path = tmp_path_factory.mktemp("teacher")
    nlp.to_disk(path)
    return path


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the path of raw texts, a line each."""
    nouns, verbs = ["dog", "apple", "book", "cat"], ["ate", "read", "saw"]
    lines = [f"The {n} {v} that {m}" for n in nouns for v in verbs for m in nouns]
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    path.write_text("\n\n".join(lines) + "\n", encoding="utf8")
    return path


@pytest.fixture(scope="session")
def run() -> Callable[..., Result]:
    """Return a function that runs `python -m spacy lstm-tagger` in this process."""
    from spacy_lstm_tagger.cli.commands import lstm_tagger_cli

    def run_command(*words: str | Path) -> Result:
        return CliRunner().invoke(lstm_tagger_cli, [str(word) for word in words])

    return run_command
