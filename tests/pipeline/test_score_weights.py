"""Tests of `score_weights.py` and `factories.py`: each component is scored by its own attribute."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.training.loop import create_evaluation_callback
from spacy.util import load_model_from_config
from thinc.api import Config

from spacy_lstm_tagger.pipeline.score_weights import FACTORIES

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
        nlp.add_pipe("lstm_tagger", name=name, config={"attribute": name, "model": tiny})
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


@pytest.mark.parametrize("attribute", WEIGHTS)
@pytest.mark.parametrize("own", [True, False])
def test_component_is_known_by_its_attribute(nlp: Language, attribute: str, own: bool) -> None:
    if own:
        component = nlp.add_pipe(FACTORIES[attribute])
    else:
        component = nlp.add_pipe("lstm_tagger", config={"attribute": attribute})
    meta = nlp.get_pipe_meta(nlp.pipe_names[0])
    assert component.attribute == attribute
    assert score_weights(nlp) == WEIGHTS[attribute]
    assert (meta.factory, meta.assigns) == (FACTORIES[attribute], [f"token.{attribute}"])
    assert nlp.config["components"][nlp.pipe_names[0]]["factory"] == FACTORIES[attribute]


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


@pytest.mark.parametrize(
    "filled, expected",
    [
        ({"tag_acc": 1.0}, {"pos_acc": 1.0}),
        ({"pos_acc": 1.0}, {"pos_acc": 1.0}),
        ({"tag_acc": None, "pos_acc": 0.5, "speed": 0.5}, {"pos_acc": 0.5, "speed": 0.5}),
    ],
)
def test_training_selects_by_the_attribute_that_a_filled_config_was_given(
    tiny: dict[str, Any],
    make_examples: Callable,
    filled: dict[str, float | None],
    expected: dict[str, float],
) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("lstm_tagger", config={"model": tiny})
    config = nlp.config.copy()
    config["training"]["score_weights"] = filled
    config["components"]["lstm_tagger"]["attribute"] = "pos"
    nlp = load_model_from_config(config, auto_fill=True)
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    nlp.get_pipe("lstm_tagger").set_annotations([examples[0].x], [[1] * 5])
    assert score_weights(nlp) == expected
    evaluate = create_evaluation_callback(nlp, lambda nlp: examples, score_weights(nlp))
    score, scores = evaluate()
    assert score == pytest.approx(sum(scores[name] * expected[name] for name in expected))


def test_weights_of_another_tagger_stay(
    nlp: Language, tiny: dict[str, Any], make_examples: Callable
) -> None:
    nlp.add_pipe("tagger")
    nlp.add_pipe("lstm_tagger", config={"attribute": "pos", "model": tiny})
    nlp.initialize(lambda: make_examples(nlp))
    assert TWO.items() <= score_weights(nlp).items()


def test_a_component_outside_of_its_pipeline_is_made(nlp: Language, tiny: dict[str, Any]) -> None:
    config = {"attribute": "pos", "model": tiny}
    component = nlp.create_pipe("lstm_tagger", name="mine", config=config)
    component.name = "other"
    assert (component.name, component.attribute) == ("other", "pos")
    assert score_weights(nlp) == {}
