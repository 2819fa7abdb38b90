"""The component's factories, one for each attribute, and one for labels in an extension."""

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

from spacy.language import Language
from spacy.util import registry
from thinc.api import Model

from .labels import FACTORIES, LABEL_FACTORY, score_labels
from .listeners import remember_pipeline
from .tagger import LSTMTagger

EXTENSION = "label"  # the default of the setting `extension`: labels are in token._.label
DEFAULT_CONFIG = {
    "model": {"@architectures": "spacy-lstm-tagger.LSTMTagger.v1"},
    "scorer": {"@scorers": "spacy-lstm-tagger.lstm_tagger_scorer.v1"},
}


@registry.scorers("spacy-lstm-tagger.lstm_tagger_scorer.v1")
def make_scorer() -> Callable[..., dict[str, Any]]:
    """Return the default scorer."""
    return score_labels


def _make_factory(attribute: str | None) -> Callable[..., LSTMTagger]:
    """Return a factory of the component, whose settings and defaults are those of `LSTMTagger`.

    attribute (str | None): "tag", "pos" or "morph"; None for a setting, `extension`.
    """

    def make(nlp: Language, name: str, model: Model, **settings: Any) -> LSTMTagger:
        """Create the component.

        extension (str): Name of the custom attribute that has the labels: `token._.NAME`.
        """
        remember_pipeline(nlp)
        own = settings.pop("extension") if attribute is None else attribute
        if attribute is None and own in FACTORIES:
            raise ValueError(
                f"{name}: extension = {own!r} has the name of an attribute of spaCy: use the "
                f"factory {FACTORIES[own]}, or choose another name"
            )
        return LSTMTagger(nlp.vocab, model, name, attribute=own, **settings)

    settings = [
        parameter
        for parameter in signature(LSTMTagger).parameters.values()
        if parameter.kind is Parameter.KEYWORD_ONLY and parameter.name != "attribute"
    ]
    if attribute is None:
        kind = Parameter.KEYWORD_ONLY
        settings.append(Parameter("extension", kind, default=EXTENSION, annotation=str))
    own = signature(make)
    named = [own.parameters[name] for name in ("nlp", "name", "model")]
    factory: Any = make
    factory.__signature__ = own.replace(parameters=[*named, *settings])
    return factory


def _register(
    attribute: str | None, score_weights: dict[str, float | None]
) -> Callable[..., LSTMTagger]:
    factory = _make_factory(attribute)
    Language.factory(
        LABEL_FACTORY if attribute is None else FACTORIES[attribute],
        default_config=DEFAULT_CONFIG,
        assigns=[f"token._.{EXTENSION}" if attribute is None else f"token.{attribute}"],
        default_score_weights=score_weights,
        func=factory,
    )
    return factory


make_lstm_tagger = _register("tag", {"tag_acc": 1.0})
make_lstm_pos_tagger = _register("pos", {"pos_acc": 1.0})
make_lstm_morph_tagger = _register("morph", {"morph_acc": 1.0, "morph_per_feat": None})
make_lstm_label_tagger = _register(None, {f"{EXTENSION}_acc": 1.0})
