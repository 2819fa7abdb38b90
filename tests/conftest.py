"""Small data and small models that many tests share."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_model_from_config
from thinc.api import Config, Model, fix_random_seed
from torch import nn

from spacy_lstm_tagger.network.encoder import LSTMEncoder, network_of
from spacy_lstm_tagger.pipeline.labels import FACTORIES
from spacy_lstm_tagger.prediction.config import EncoderConfig, Sizes, TaggerConfig

torch.set_num_threads(1)  # more would wait for each other wherever cores are busy

SENTENCES = [
    ("The dog ate the apple", "DET NN V DET NN", "DET NOUN VERB DET NOUN"),
    ("Everybody read that book", "NN V DET NN", "PRON VERB DET NOUN"),
]
MORPHS = [
    ["Definite=Def", "Number=Sing", "Tense=Past|VerbForm=Fin", "Definite=Def", "Number=Sing"],
    ["", "Tense=Past|VerbForm=Fin", "PronType=Dem", "Number=Sing"],
]
WIDTHS = {"word_width": 6, "character_width": 4, "character_lstm_width": 3, "lstm_width": 5}
SIZES = Sizes(n_words=6, n_affixes=5, n_characters=7, vector_width=4, n_labels=4)

SHARED = """
[nlp]
lang = "xx"
pipeline = ["tok2vec", "tags", "parts"]

[components]

[components.tok2vec]
factory = "tok2vec"

[components.tok2vec.model]
@architectures = "spacy-lstm-tagger.LSTMTok2Vec.v1"
word_width = 6
character_width = 4
character_lstm_width = 3
lstm_width = 5

[components.tags]
factory = "lstm_tagger"

[components.tags.model]
@architectures = "spacy.Tagger.v2"

[components.tags.model.tok2vec]
@architectures = "spacy.Tok2VecListener.v1"
width = 46
upstream = "tok2vec"

[components.parts]
factory = "lstm_pos_tagger"
model = ${components.tags.model}
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pipeline", help="folder of a pipeline that the guide's pages run with")
    parser.addoption("--campaign", action="store_true", help="run tests/campaign in its whole size")


@pytest.fixture
def nlp() -> Language:
    return spacy.blank("xx")  # made four times as fast as "en"


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let threads take turns a thousand times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(scope="session")
def without_torch() -> str:
    """Return code that hides PyTorch from a new process, as if it were not installed. Where other
    plugins of spaCy need it, the tests are skipped.
    """
    code = 'import sys; sys.modules["torch"] = None'
    command = [sys.executable, "-c", f"{code}; import spacy; spacy.blank('xx')"]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("another plugin of spaCy, such as spacy-transformers, needs PyTorch")
    return f"{code}\n"


@pytest.fixture
def make_docs(nlp: Language) -> Callable[..., list[Doc]]:
    """Return a function that makes Docs of one new vocab, from texts with spaces between words."""

    def make(*texts: str) -> list[Doc]:
        return [Doc(nlp.vocab, words=text.split()) for text in texts]

    return make


@pytest.fixture(scope="session")
def widths() -> dict[str, int]:
    """The widths of a model that trains in no time."""
    return dict(WIDTHS)


@pytest.fixture(scope="session")
def tiny(widths: dict[str, int]) -> dict[str, Any]:
    """The config of a model that trains in no time."""
    return {"@architectures": "spacy-lstm-tagger.LSTMTagger.v1", **widths}


@pytest.fixture(scope="session")
def sizes() -> Sizes:
    """The sizes of the networks that `make_network` makes."""
    return SIZES


@pytest.fixture(scope="session")
def make_network(widths: dict[str, int], sizes: Sizes) -> Callable[..., LSTMEncoder]:
    """Return a function that makes a network with static vectors and weights far from zero."""

    def make(
        config_class: type[EncoderConfig] = TaggerConfig,
        network_class: Callable[..., LSTMEncoder] = network_of,
        **settings: Any,
    ) -> LSTMEncoder:
        torch.manual_seed(0)
        config = config_class(**{**widths, "include_static_vectors": True, **settings})
        network = network_class(config, sizes)
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.5)
        return network

    return make


@pytest.fixture
def shared_config() -> Config:
    """The config of two taggers that listen to one encoder."""
    return Config().from_str(SHARED)


@pytest.fixture
def shared(shared_config: Config) -> Language:
    """Two taggers that listen to one encoder."""
    return load_model_from_config(shared_config, auto_fill=True)


@pytest.fixture(scope="session")
def make_examples() -> Callable[[Language], list[Example]]:
    """Return a function that annotates the two sentences with tags, parts of speech and morphs."""

    def make(nlp: Language) -> list[Example]:
        examples = []
        for (text, tags, pos), morphs in zip(SENTENCES, MORPHS, strict=True):
            words = text.split()
            reference = Doc(
                nlp.vocab, words=words, tags=tags.split(), pos=pos.split(), morphs=morphs
            )
            examples.append(Example(Doc(nlp.vocab, words=words), reference))
        return examples

    return make


@pytest.fixture(scope="session")
def train(make_examples, tiny) -> Callable[..., Language]:
    """Return a function that trains a tagger of an attribute until it knows the two sentences."""

    def train_tagger(
        nlp: Language, name: str = "lstm_tagger", attribute: str = "tag", **config: Any
    ) -> Language:
        fix_random_seed(0)
        nlp.add_pipe(FACTORIES[attribute], name=name, config={"model": tiny, **config})
        examples = make_examples(nlp)
        optimizer = nlp.initialize(lambda: examples)
        optimizer.learn_rate = 0.03
        for _ in range(40):
            nlp.update(examples, sgd=optimizer)
        return nlp

    return train_tagger


@pytest.fixture(scope="session")
def trained(train) -> Language:
    """A pipeline that knows the two sentences; not to be changed."""
    return train(spacy.blank("xx"))


@pytest.fixture(scope="session")
def saved_pipeline(train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a trained pipeline."""
    path = tmp_path_factory.mktemp("pipeline")
    train(spacy.blank("xx")).to_disk(path)
    return path


@pytest.fixture(scope="session")
def weights_of() -> Callable[[Model], dict[str, numpy.ndarray]]:
    """Return a function that copies the weights out of all networks of a model."""

    def weights(model: Model) -> dict[str, numpy.ndarray]:
        return {
            f"{i} {name}": value.detach().numpy().copy()
            for i, node in enumerate(model.walk())
            for shim in node.shims
            for name, value in shim.network.state_dict().items()
        }

    return weights
