"""Annotated Examples in, accuracies out."""

from collections.abc import Callable, Iterable
from typing import Any

from spacy.scorer import Scorer
from spacy.training import Example
from spacy.util import registry


def score_labels(
    examples: Iterable[Example], *, attribute: str = "tag", **settings: Any
) -> dict[str, Any]:
    """Score what a component wrote to its attribute; for "morph" also each feature by itself.

    examples (Iterable[Example]): The examples.
    attribute (str): "tag", "pos" or "morph".
    settings (Any): Passed on to `Scorer.score_token_attr`.
    RETURNS (dict[str, Any]): "tag_acc", "pos_acc", or "morph_acc" and "morph_per_feat".
    """
    if attribute != "morph":
        return Scorer.score_token_attr(examples, attribute, **settings)
    examples = list(examples)
    settings["getter"] = lambda token, _: token.morph.key
    return {
        **Scorer.score_token_attr(examples, attribute, **settings),
        **Scorer.score_token_attr_per_feat(examples, attribute, **settings),
    }


@registry.scorers("spacy-lstm-tagger.lstm_tagger_scorer.v1")
def make_scorer() -> Callable[..., dict[str, Any]]:
    """Return the default scorer of `lstm_tagger`."""
    return score_labels
