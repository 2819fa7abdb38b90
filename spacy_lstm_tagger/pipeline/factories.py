"""Config in, components out: the registered factories, one for each attribute."""

from collections.abc import Callable
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Model
from thinc.types import Floats2d

from .score_weights import FACTORIES, SCORE_WEIGHTS
from .tagger import LSTMTagger

DEFAULT_CONFIG: dict[str, Any] = {
    "model": {"@architectures": "spacy-lstm-tagger.LSTMTagger.v1"},
    "overwrite": False,
    "label_smoothing": 0.05,
    "neg_prefix": "!",
    "new_labels": "refuse",
    "store_probabilities": False,
    "scorer": {"@scorers": "spacy-lstm-tagger.lstm_tagger_scorer.v1"},
}


def make_lstm_tagger(
    nlp: Language,
    name: str,
    model: Model[list[Doc], list[Floats2d]],
    attribute: str,
    overwrite: bool,
    label_smoothing: float,
    neg_prefix: str,
    new_labels: str,
    store_probabilities: bool,
    scorer: Callable[..., dict[str, Any]] | None,
) -> LSTMTagger:
    """Create the component; its settings are those of `LSTMTagger`."""
    component = LSTMTagger(
        nlp.vocab,
        model,
        name,
        attribute=attribute,
        overwrite=overwrite,
        label_smoothing=label_smoothing,
        neg_prefix=neg_prefix,
        new_labels=new_labels,
        store_probabilities=store_probabilities,
        scorer=scorer,
    )
    component.made_for = nlp
    return component


# spaCy reads what a component assigns, and the weights of its scores, from its factory.
for _attribute, _factory in FACTORIES.items():
    Language.factory(
        _factory,
        default_config={**DEFAULT_CONFIG, "attribute": _attribute},
        assigns=[f"token.{_attribute}"],
        default_score_weights=SCORE_WEIGHTS[_attribute],
        func=make_lstm_tagger,
    )
