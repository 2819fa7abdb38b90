"""An attribute in, its factory and the weights of its scores out."""

from collections.abc import Iterable
from typing import Any

from spacy.language import Language

FACTORIES = {"tag": "lstm_tagger", "pos": "lstm_pos_tagger", "morph": "lstm_morph_tagger"}
SCORE_WEIGHTS: dict[str, dict[str, float | None]] = {
    "tag": {"tag_acc": 1.0},
    "pos": {"pos_acc": 1.0},
    "morph": {"morph_acc": 1.0, "morph_per_feat": None},
}


def use_own_factory(nlp: Language, component: Any, attribute: str) -> list[str]:
    """Let a component be known in its pipeline by the factory of its attribute, whatever factory
    made it: spaCy reads there what it assigns, and how it is scored. Only this pipeline is changed.

    nlp (Language): The pipeline.
    component (Any): One of its components.
    attribute (str): "tag", "pos" or "morph".
    RETURNS (list[str]): The scores of the factory that made it, if that was another one.
    """
    factory, made_by = FACTORIES[attribute], None
    for name in (name for name, one in nlp.components if one is component):
        made_by = nlp.get_pipe_meta(name)
        nlp._pipe_meta[name] = nlp.get_factory_meta(factory)
        nlp.get_pipe_config(name)["factory"] = factory
    return list(made_by.scores) if made_by and made_by.factory != factory else []


def forget_weights(nlp: Language, scores: Iterable[str]) -> None:
    """Take scores that no component has out of the weights by which training selects.

    nlp (Language): The pipeline.
    scores (Iterable[str]): What `use_own_factory` returned.
    """
    metas = [nlp.get_pipe_meta(name) for name in nlp.component_names]
    used = {score for meta in metas for score in meta.scores}
    weights = nlp.config["training"]["score_weights"]
    for score in set(scores) - used:
        weights.pop(score, None)
