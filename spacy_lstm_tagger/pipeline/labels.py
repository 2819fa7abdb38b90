"""Labels of a component, and what stands for them in Docs."""

from collections.abc import Iterable
from typing import Any

import numpy
from spacy.attrs import ORTH
from spacy.parts_of_speech import IDS as POS_IDS
from spacy.scorer import Scorer
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

# The factory of the component that learns and writes an attribute.
FACTORIES = {"tag": "lstm_tagger", "pos": "lstm_pos_tagger", "morph": "lstm_morph_tagger"}


def normal_form(label: str, attribute: str, vocab: Vocab) -> str:
    """Return a label as Docs have it: with morphological features in their order.

    label (str): The label.
    attribute (str): "tag", "pos" or "morph".
    vocab (Vocab): Whose morphology knows the order.
    RETURNS (str): The label, unchanged if it isn't morphological features.
    RAISES: ValueError if it can't be a label of the attribute.
    """
    if attribute == "pos" and label not in POS_IDS:
        raise ValueError(
            f"{label!r} is not a universal part of speech. For other tag sets, use the factory "
            f"{FACTORIES['tag']}."
        )
    if attribute != "morph":
        return label
    if label not in ("", "_") and not all("=" in part for part in label.split("|")):
        raise ValueError(
            f'{label!r} is not a set of morphological features like "Number=Sing". For other '
            f"labels, use the factory {FACTORIES['tag']}."
        )
    return vocab.strings[vocab.morphology.add(label)]


def value_of(label: str, attribute: str, vocab: Vocab) -> int:
    """Return the number that stands for a label in a Doc's array of the attribute."""
    if attribute == "pos":
        return POS_IDS[label]
    if attribute == "morph":
        return vocab.morphology.add(label)
    return vocab.strings.add(label)


def labels_of(doc: Doc, attribute: str) -> list[str]:
    """Return the label of each token, as a component has it.

    doc (Doc): The Doc.
    attribute (str): "tag", "pos" or "morph".
    RETURNS (list[str]): The labels: "" for a token without one, "_" for one whose morphology is
        empty.
    """
    strings = doc.vocab.strings
    return [strings[value] for value in doc.to_array(attribute.upper()).tolist()]


def gold_labels(examples: Iterable[Example], attribute: str) -> set[str]:
    """Collect the labels of the reference Docs; "" if there are tokens without one."""
    gold: set[str] = set()
    for example in examples:
        values = set(example.y.to_array(attribute).tolist())
        gold.update(example.y.vocab.strings[value] for value in values)
    return gold


def aligned_labels(example: Example, attribute: str) -> list[str | None]:
    """Return the gold label of each token of the predicted Doc, "" or None if it has none."""
    if numpy.array_equal(example.x.to_array(ORTH), example.y.to_array(ORTH)):
        return [*labels_of(example.y, attribute)]  # by far the faster way
    return example.get_aligned(attribute.upper(), as_string=True)


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
