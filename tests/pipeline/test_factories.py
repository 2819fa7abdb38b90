"""Tests of `factories.py`: each attribute has a factory, which says how it is scored."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from importlib.metadata import entry_points
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.util import load_model_from_config
from thinc.api import Config, ConfigValidationError

from spacy_lstm_tagger import LSTMTagger
from spacy_lstm_tagger.pipeline import factories
from spacy_lstm_tagger.pipeline.labels import FACTORIES

WEIGHTS = {
    "tag": {"tag_acc": 1.0},
    "pos": {"pos_acc": 1.0},
    "morph": {"morph_acc": 1.0, "morph_per_feat": None},
}
TWO = {"tag_acc": 0.5, "pos_acc": 0.5}


def score_weights(nlp: Language) -> dict[str, Any]:
    return nlp.config["training"]["score_weights"]


def assigned(nlp: Language) -> list[str]:
    return [what for name in nlp.pipe_names for what in nlp.get_pipe_meta(name).assigns]


def two_taggers(tiny: dict[str, Any]) -> Language:
    nlp = spacy.blank("xx")
    for name in ("tag", "pos"):
        nlp.add_pipe(FACTORIES[name], name=name, config={"model": tiny})
    return nlp


def through_source(nlp: Language, tmp_path: Path) -> Language:
    other = spacy.blank("xx")
    for name in nlp.pipe_names:
        other.add_pipe(name, source=nlp)
    return other


def through_config(nlp: Language, tmp_path: Path) -> Language:
    return load_model_from_config(nlp.config, auto_fill=True)


def through_disk(nlp: Language, tmp_path: Path) -> Language:
    nlp.to_disk(tmp_path)
    return spacy.load(tmp_path)


def through_a_config_that_sources(nlp: Language, tmp_path: Path) -> Language:
    nlp.to_disk(tmp_path)
    config = {"nlp": {"lang": "xx", "pipeline": list(nlp.pipe_names)}}
    config["components"] = {name: {"source": str(tmp_path)} for name in nlp.pipe_names}
    return load_model_from_config(Config(config), auto_fill=True)


WAYS = [through_source, through_config, through_disk, through_a_config_that_sources]


@pytest.mark.parametrize("factory", FACTORIES.values())
def test_factory_needs_no_import(factory: str) -> None:
    (entry_point,) = entry_points(group="spacy_factories", name=factory)
    assert entry_point.load() is getattr(factories, f"make_{factory}")


@pytest.mark.parametrize("attribute, factory", FACTORIES.items())
def test_factory_decides_the_attribute(nlp: Language, attribute: str, factory: str) -> None:
    component = nlp.add_pipe(factory)
    meta = nlp.get_pipe_meta(factory)
    assert (component.name, component.attribute) == (factory, attribute)
    assert score_weights(nlp) == WEIGHTS[attribute]
    assert meta.assigns == [f"token.{attribute}"]
    assert nlp.get_pipe_config(factory)["factory"] == factory


def test_settings_are_those_of_the_component(nlp: Language) -> None:
    nlp.add_pipe("lstm_tagger", config={"overwrite": True})
    settings = signature(LSTMTagger).parameters
    config = nlp.get_pipe_config("lstm_tagger")
    assert config.pop("factory") == "lstm_tagger" and config.pop("overwrite") is True
    assert config.pop("model")["@architectures"] == "spacy-lstm-tagger.LSTMTagger.v1"
    assert config.pop("scorer") == {"@scorers": "spacy-lstm-tagger.lstm_tagger_scorer.v1"}
    assert config == {name: settings[name].default for name in config}
    left = {"vocab", "model", "name", "attribute", "scorer", "overwrite"}
    assert config.keys() == settings.keys() - left


@pytest.mark.parametrize("setting, value", [("attribute", "pos"), ("label_smoothing", "much")])
def test_settings_that_do_not_fit_are_refused(nlp: Language, setting: str, value: Any) -> None:
    with pytest.raises(ConfigValidationError, match=setting):
        nlp.add_pipe("lstm_tagger", config={setting: value})


@pytest.mark.parametrize("way", WAYS)
def test_every_way_into_a_pipeline_keeps_the_weights(
    tiny: dict[str, Any], tmp_path: Path, way: Callable
) -> None:
    nlp = way(two_taggers(tiny), tmp_path)
    assert score_weights(nlp) == TWO
    assert assigned(nlp) == ["token.tag", "token.pos"]


def test_threads_and_other_pipelines_change_nothing(tiny: dict[str, Any]) -> None:
    before = {name: deepcopy(Language.get_factory_meta(name)) for name in FACTORIES.values()}
    with ThreadPoolExecutor(4) as pool:
        pipelines = list(pool.map(lambda _: two_taggers(tiny), range(8)))
    assert all(score_weights(nlp) == TWO for nlp in pipelines)
    assert {name: Language.get_factory_meta(name) for name in before} == before


def test_weights_of_another_tagger_stay(nlp: Language) -> None:
    nlp.add_pipe("tagger")
    nlp.add_pipe("lstm_pos_tagger")
    assert TWO.items() <= score_weights(nlp).items()
