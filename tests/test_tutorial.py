"""The tutorial's two sentences, learnt through spaCy's own training loop."""

from pathlib import Path

import numpy
import pytest
from spacy.language import Language
from spacy.training import Corpus
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config

ROOT = Path(__file__).parent.parent
CORPUS = ROOT / "corpus" / "tutorial" / "train.spacy"
TAGS = ["DET NN V DET NN", "NN V DET NN"]


def tags_and_loss(nlp: Language) -> tuple[list[str], float]:
    """Return the tags of each sentence, and the mean negative log-likelihood of a gold tag."""
    tagger = nlp.get_pipe("lstm_tagger")
    examples = list(Corpus(CORPUS)(nlp))
    tags = [" ".join(token.tag_ for token in nlp(example.x)) for example in examples]
    probabilities, _ = tagger.model.begin_update([example.x for example in examples])
    gold = [
        doc_probabilities[token.i, tagger.labels.index(token.tag_)]
        for doc_probabilities, example in zip(probabilities, examples, strict=True)
        for token in example.y
    ]
    return tags, -float(numpy.log(gold).mean())


@pytest.mark.parametrize("character_lstm_width", [0, 3])
def test_tutorial_is_learnt(character_lstm_width: int) -> None:
    overrides = {
        "paths.train": str(CORPUS),
        "components.lstm_tagger.model.character_lstm_width": character_lstm_width,
        "training.logger": {"@loggers": "spacy.ConsoleLogger.v3", "console_output": False},
    }
    config = load_config(ROOT / "configs" / "tutorial.cfg", overrides=overrides, interpolate=False)
    nlp = init_nlp(config)
    tags, loss = tags_and_loss(nlp)
    assert tags != TAGS and loss > 0.5
    train(nlp)
    tags, loss = tags_and_loss(nlp)
    assert tags == TAGS and loss < 0.1
