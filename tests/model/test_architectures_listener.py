"""Tests of `LSTMListener` in `architectures.py`: its width is that of the encoder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy
from helpers import CNN
from spacy.language import Language
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_model_from_config
from thinc.api import Config, Model

from spacy_lstm_tagger.model.architectures import LSTMListener, LSTMTagger

LISTENER = {
    "@architectures": "spacy-lstm-tagger.LSTMListener.v1",
    "encoder": "${components.tok2vec.model}",
}
PARSER = {
    "@architectures": "spacy.TransitionBasedParser.v2",
    "state_type": "parser",
    "extra_state_tokens": False,
    "hidden_width": 8,
    "maxout_pieces": 2,
    "use_upper": True,
}
TAGGER = {"@architectures": "spacy.Tagger.v2"}
COMPONENTS = {
    "tagger": TAGGER,
    "morphologizer": TAGGER,
    "senter": TAGGER,
    "trainable_lemmatizer": TAGGER,
    "parser": PARSER,
    "ner": {**PARSER, "state_type": "ner"},
}


@pytest.fixture
def following(shared_config: Config) -> Config:
    """The config of two taggers whose listeners follow their encoder."""
    shared_config["components"]["tags"]["model"]["tok2vec"] = LISTENER
    return shared_config


def widths(nlp: Language) -> set[int]:
    """Return the widths of all listeners."""
    nodes = [node for _, pipe in nlp.components for node in pipe.model.walk()]
    return {node.get_dim("nO") for node in nodes if isinstance(node, Tok2VecListener)}


def load(config: Config, width: int) -> Language:
    """Load a pipeline as commands do, with an LSTM of another width."""
    changes = {"components.tok2vec.model.lstm_width": width}
    config = Config().from_str(config.to_str(), interpolate=False, overrides=changes)
    return load_model_from_config(config, auto_fill=True)


@pytest.mark.parametrize(("lstm_width", "width"), [(5, 46), (7, 50)])
def test_width_is_that_of_the_encoder(following: Config, lstm_width: int, width: int) -> None:
    nlp = load(following, lstm_width)
    assert nlp.get_pipe("tok2vec").model.get_dim("nO") == width
    assert widths(nlp) == {width}


def test_width_is_that_of_an_encoder_of_spacy(following: Config) -> None:
    following["components"]["tok2vec"]["model"] = {**CNN, "width": 12}
    assert widths(load_model_from_config(following, auto_fill=True)) == {12}


def annotated(nlp: Language) -> list[Example]:
    """Return a sentence that every component of spaCy can learn from."""
    reference = Doc(
        nlp.vocab,
        words=["Ann", "ate", "apples"],
        tags=["NNP", "VBD", "NNS"],
        pos=["PROPN", "VERB", "NOUN"],
        morphs=["Number=Sing", "Tense=Past", "Number=Plur"],
        lemmas=["Ann", "eat", "apple"],
        heads=[1, 1, 1],
        deps=["nsubj", "ROOT", "obj"],
        ents=["B-PERSON", "O", "O"],
    )
    # The parser leaves out rarer labels.
    return [Example(nlp.make_doc("Ann ate apples"), reference)] * 30


@pytest.mark.parametrize("factory", COMPONENTS)
def test_components_of_spacy_train_the_encoder(
    following: Config, weights_of: Callable, factory: str
) -> None:
    model = {**COMPONENTS[factory], "tok2vec": LISTENER}
    following["components"]["more"] = {"factory": factory, "model": model}
    following["nlp"]["pipeline"] = ["tok2vec", "more"]
    nlp = load(following, 7)
    examples = annotated(nlp)
    optimizer = nlp.initialize(lambda: examples)
    encoder = nlp.get_pipe("tok2vec").model
    before = weights_of(encoder)
    for _ in range(2):
        nlp.update(examples, sgd=optimizer)
    after = weights_of(encoder)
    assert any((before[name] != after[name]).any() for name in before)


@pytest.mark.parametrize("initialized", [False, True])
def test_a_saved_pipeline_has_the_width(
    following: Config, make_examples: Callable, tmp_path: Path, initialized: bool
) -> None:
    nlp = load(following, 7)
    if initialized:
        nlp.initialize(lambda: make_examples(nlp))
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    assert widths(loaded) == {50}
    assert "${components.tok2vec.model}" in (tmp_path / "config.cfg").read_text("utf8")
    if initialized:
        assert tags(loaded) == tags(nlp)


def tags(nlp: Language) -> list[tuple[str, str]]:
    return [(token.tag_, token.pos_) for token in nlp("The dog ate the apple")]


def use_source(nlp: Language) -> Language:
    other = spacy.blank("xx")
    for name in nlp.pipe_names:
        other.add_pipe(name, source=nlp)
    return other


def use_own_copies(nlp: Language) -> Language:
    for name in ("tags", "parts"):
        nlp.replace_listeners("tok2vec", name, ["model.tok2vec"])
    nlp.remove_pipe("tok2vec")
    return nlp


@pytest.mark.parametrize("change", [use_source, use_own_copies])
def test_a_pipeline_of_parts_of_another_has_the_width(
    following: Config, make_examples: Callable, tmp_path: Path, change: Any
) -> None:
    nlp = load(following, 7)
    optimizer = nlp.initialize(lambda: make_examples(nlp))
    for _ in range(3):
        nlp.update(make_examples(nlp), sgd=optimizer)
    expected = tags(nlp)
    change(nlp).to_disk(tmp_path)
    assert tags(spacy.load(tmp_path)) == expected


def test_an_encoder_of_unknown_width_is_refused() -> None:
    model: Model = LSTMTagger()
    with pytest.raises(ValueError, match=r"'lstm_tagger' is known only .*Tok2VecListener.v1"):
        LSTMListener(encoder=model)
