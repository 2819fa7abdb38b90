"""Labels of Docs and Examples: read, checked, scored and written."""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import Any

import numpy
from spacy.attrs import IS_SPACE, ORTH
from spacy.parts_of_speech import IDS as POS_IDS
from spacy.scorer import Scorer
from spacy.tokens import Doc
from spacy.training import Example, validate_get_examples
from spacy.vocab import Vocab
from thinc.api import to_numpy

from .decoding import WHITESPACE, Prediction
from .probabilities import (
    SPACE_LABELS,
    forget,
    has_those_of_another,
    require_extensions,
    store,
)

EMPTY = numpy.zeros(0, dtype="int64")
# The factory of the component that learns and writes an attribute.
FACTORIES = {"tag": "lstm_tagger", "pos": "lstm_pos_tagger", "morph": "lstm_morph_tagger"}


def normal_form(label: str, attribute: str, vocab: Vocab) -> str:
    """Return a label as Docs have it: morphological features are sorted.

    label (str): The label.
    attribute (str): "tag", "pos" or "morph".
    vocab (Vocab): Its morphology sorts the features.
    RETURNS (str): The label.
    RAISES: ValueError if it can't be a label of the attribute.
    """
    if attribute == "pos" and label not in POS_IDS:
        raise ValueError(
            f"{label!r} is not a universal part of speech. For other tag sets, use the factory "
            f"{FACTORIES['tag']}."
        )
    if attribute != "morph":
        return label
    if label not in ("", "_") and not all("=" in feature for feature in label.split("|")):
        raise ValueError(
            f'{label!r} is not a set of morphological features like "Number=Sing". For other '
            f"labels, use the factory {FACTORIES['tag']}."
        )
    return vocab.strings[vocab.morphology.add(label)]


def labels_of(doc: Doc, attribute: str) -> list[str]:
    """Return the label of each token, as a component has it.

    doc (Doc): The Doc.
    attribute (str): "tag", "pos" or "morph".
    RETURNS (list[str]): The labels: "" for a token without one, "_" for one whose morphology is
        empty.
    """
    strings = doc.vocab.strings
    return [strings[value] for value in doc.to_array(attribute.upper()).tolist()]


def aligned_labels(example: Example, attribute: str) -> list[str | None]:
    """Return the gold label of each token of the predicted Doc; None for one without a label, and
    for whitespace.
    """
    if numpy.array_equal(example.x.to_array(ORTH), example.y.to_array(ORTH)):
        labels = labels_of(example.y, attribute)  # much faster than get_aligned
    else:
        labels = example.get_aligned(attribute.upper(), as_string=True)
    is_space = example.x.to_array(IS_SPACE).tolist()
    return [None if space else label or None for label, space in zip(labels, is_space, strict=True)]


def gold_labels(examples: Iterable[Example], attribute: str) -> set[str]:
    """Return all labels of the words of the reference Docs."""
    gold: set[str] = set()
    for example in examples:
        values, is_space = example.y.to_array([attribute.upper(), IS_SPACE]).T
        values = set(values[is_space == 0].tolist())
        gold.update(example.y.vocab.strings[value] for value in values)
    return gold - {""}


def affirmed(gold: set[str], neg_prefix: str) -> set[str]:
    """Return labels without the prefix that denies them.

    gold (set[str]): Gold labels.
    neg_prefix (str): The prefix; "" if there is none.
    RETURNS (set[str]): The labels that the gold labels affirm or deny.
    RAISES: ValueError if a gold label is the prefix itself.
    """
    if neg_prefix and neg_prefix in gold:
        raise ValueError(
            f"the training data have the label {neg_prefix!r}, but a label that starts with "
            f"neg_prefix = {neg_prefix!r} denies the rest of it. Set another neg_prefix in the "
            'config, such as neg_prefix = "~".'
        )
    return {label.removeprefix(neg_prefix) for label in gold}


def labels_to_learn(examples: Iterable[Example], attribute: str, neg_prefix: str) -> set[str]:
    """Return the labels that the gold annotation affirms or denies."""
    return affirmed(gold_labels(examples, attribute), neg_prefix)


def read_examples(get_examples: Callable[[], Iterable[Example]]) -> list[Example]:
    """Read all training examples.

    get_examples (Callable[[], Iterable[Example]]): Returns them.
    RETURNS (list[Example]): The examples, at least one.
    RAISES: ValueError if they can't be read, or if there are none.
    """
    if not callable(get_examples):
        validate_get_examples(get_examples, "LSTMTagger.initialize")
    try:
        examples = list(get_examples())
    except OSError as error:
        raise ValueError(
            f"can't read the training examples: {error}. Check the paths of the corpora in the "
            "config, or give them on the command line: --paths.train FILE."
        ) from error
    if not examples:
        raise ValueError(
            "there are no training examples to initialize from. Check the path of the corpus, and "
            "that its Docs are not empty."
        )
    validate_get_examples(lambda: examples, "LSTMTagger.initialize")
    return examples


def check_any(labels: Sequence[str], examples: Sequence[Example], attribute: str) -> None:
    """Raise a ValueError if there are no labels, naming the annotation that the examples have."""
    if any(labels):
        return
    remedies = [
        f"they have {other}: use the factory {factory}"
        for other, factory in FACTORIES.items()
        if gold_labels(examples, other)
    ]
    if not remedies:
        remedies = ["annotate them, or list the labels in the config, [initialize.components]"]
    raise ValueError(f"no {attribute} found in the training examples; {'; '.join(remedies)}")


def check_known(gold: set[str], labels: Sequence[str], neg_prefix: str) -> None:
    """Raise a ValueError if gold labels affirm or deny labels that the component lacks."""
    unknown = affirmed(gold, neg_prefix).difference(labels)
    if unknown:
        raise ValueError(
            "the training data have labels that the component lacks: "
            f'{", ".join(sorted(unknown))}. Set new_labels = "add" to add labels in training; or '
            "initialize the component with all of them, or list them in the config, "
            f"[initialize.components]. (A label that starts with neg_prefix = {neg_prefix!r} "
            "denies the rest of it.)"
        )


def score_labels(
    examples: Iterable[Example], *, attribute: str = "tag", **settings: Any
) -> dict[str, Any]:
    """Score the annotation of an attribute; for "morph" also each feature.

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


def annotate(
    docs: Sequence[Doc], prediction: Prediction, *, attribute: str, overwrite: bool, tagger: str
) -> None:
    """Write labels, and their probabilities if there are any, to Docs.

    docs (Sequence[Doc]): The Docs.
    prediction (Prediction): What was predicted for them.
    attribute (str): "tag", "pos" or "morph".
    overwrite (bool): Whether to replace annotation that a Doc has already.
    tagger (str): Name of the component.
    RAISES: ValueError if the application has an extension of the same name as one that stored
        probabilities need, or if there are not as many labels as tokens.
    """
    labels, probabilities = (*prediction.labels, SPACE_LABELS[attribute]), prediction.probabilities
    if probabilities is not None:
        require_extensions(attribute)
    label_ids = [to_numpy(ids).astype("int64") for ids in prediction.label_ids]
    counts = numpy.bincount(numpy.concatenate([*label_ids, EMPTY]) - WHITESPACE)
    used = (numpy.flatnonzero(counts) + WHITESPACE).tolist()
    vocabs = {id(doc.vocab): doc.vocab for doc in docs}
    values = {key: numpy.zeros(len(labels), dtype="uint64") for key in vocabs}
    for (key, vocab), i in product(vocabs.items(), used):
        values[key][i] = _value_of(labels[i], attribute, vocab)
    for i, (doc, ids) in enumerate(zip(docs, label_ids, strict=True)):
        if len(ids) != len(doc):
            raise ValueError(f"{len(ids)} labels do not fit {len(doc)} tokens: {doc!r:.40}")
        is_written = _write(doc, attribute, values[id(doc.vocab)][ids], overwrite)
        if not is_written and has_those_of_another(doc, attribute, tagger):
            continue
        if probabilities is not None:
            store(doc, attribute, tagger, prediction.labels, probabilities[i])
        elif is_written:
            forget(doc, attribute)


def _value_of(label: str, attribute: str, vocab: Vocab) -> int:
    """Return the number that stands for a label in a Doc's array of the attribute."""
    if attribute == "pos":
        return POS_IDS[label]
    if attribute == "morph":
        return vocab.morphology.add(label)
    return vocab.strings.add(label)


def _write(doc: Doc, attribute: str, values: Any, overwrite: bool) -> bool:
    """Annotate a Doc, and return whether there was anything to write."""
    if not len(doc):
        return False
    if not overwrite:
        present = doc.to_array(attribute)
        if present.all():
            return False
        values = numpy.where(present == 0, values, present)
    doc.from_array(attribute, values)
    return True
