"""The component's factories, one for each attribute."""

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

from spacy.language import Language
from spacy.util import registry
from thinc.api import Model

from .labels import FACTORIES, score_labels
from .tagger import LSTMTagger

DEFAULT_CONFIG = {
    "model": {"@architectures": "spacy-lstm-tagger.LSTMTagger.v1"},
    "scorer": {"@scorers": "spacy-lstm-tagger.lstm_tagger_scorer.v1"},
}


@registry.scorers("spacy-lstm-tagger.lstm_tagger_scorer.v1")
def make_scorer() -> Callable[..., dict[str, Any]]:
    """Return the default scorer."""
    return score_labels


def _make_factory(attribute: str) -> Callable[..., LSTMTagger]:
    """Return a factory of the component, whose settings and defaults are those of `LSTMTagger`."""

    def make(nlp: Language, name: str, model: Model, **settings: Any) -> LSTMTagger:
        return LSTMTagger(nlp.vocab, model, name, attribute=attribute, **settings)

    settings = [
        parameter
        for parameter in signature(LSTMTagger).parameters.values()
        if parameter.kind is Parameter.KEYWORD_ONLY and parameter.name != "attribute"
    ]
    own = signature(make)
    named = [own.parameters[name] for name in ("nlp", "name", "model")]
    factory: Any = make
    factory.__signature__ = own.replace(parameters=[*named, *settings])
    return factory


def _register(attribute: str, score_weights: dict[str, float | None]) -> Callable[..., LSTMTagger]:
    factory = _make_factory(attribute)
    Language.factory(
        FACTORIES[attribute],
        default_config=DEFAULT_CONFIG,
        assigns=[f"token.{attribute}"],
        default_score_weights=score_weights,
        func=factory,
    )
    return factory


make_lstm_tagger = _register("tag", {"tag_acc": 1.0})
make_lstm_pos_tagger = _register("pos", {"pos_acc": 1.0})
make_lstm_morph_tagger = _register("morph", {"morph_acc": 1.0, "morph_per_feat": None})
