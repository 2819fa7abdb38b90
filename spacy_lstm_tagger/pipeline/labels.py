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

from ..model.types import Ints1d
from .decoding import WHITESPACE, Prediction
from .extensions import label_extensions, read_labels, write_labels
from .probabilities import (
    forget,
    has_those_of_another,
    require_extensions,
    space_label,
    store,
)
from .soft_labels import soft_labels
from .spans import MarkedSpan, mark, repair, scheme_of, score_spans, spans_of, write_spans

EMPTY = numpy.zeros(0, dtype="int64")
# The factory of the component that learns and writes an attribute.
FACTORIES = {"tag": "lstm_tagger", "pos": "lstm_pos_tagger", "morph": "lstm_morph_tagger"}
LABEL_FACTORY = "lstm_label_tagger"  # for labels in an extension, `token._.NAME`


def normal_form(label: str, attribute: str, vocab: Vocab) -> str:
    """Return a label as Docs have it: morphological features are sorted. ValueError if it can't be
    a label of the attribute.
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
    """Return the label of each token: "" for a token without one, "_" for one whose morphology is
    empty.

    attribute (str): "tag", "pos", "morph", or the name of an extension.
    """
    if attribute not in FACTORIES:
        return read_labels(doc, attribute)
    strings = doc.vocab.strings
    return [strings[value] for value in doc.to_array(attribute.upper()).tolist()]


def has_labels(doc: Doc, attribute: str) -> bool:
    """Return whether some tokens of a Doc have labels."""
    if attribute in FACTORIES:
        return doc.has_annotation(attribute.upper())
    return any(read_labels(doc, attribute))


def labels_of_words(doc: Doc, attribute: str, scheme: str | None = None) -> list[str | None]:
    """Return the label of each token; None for one without a label, and for whitespace.

    scheme (str | None): If given, labels that break this scheme are repaired.
    """
    is_space = doc.to_array(IS_SPACE).tolist()
    labels: list[str | None] = [
        None if space else label or None
        for label, space in zip(labels_of(doc, attribute), is_space, strict=True)
    ]
    if scheme is not None:
        words = [i for i, space in enumerate(is_space) if not space]
        for i, label in zip(words, repair([labels[i] for i in words], scheme), strict=True):
            labels[i] = label
    return labels


def count_repaired(docs: Iterable[Doc], attribute: str, scheme: str) -> int:
    """Return how many labels of words break a scheme."""
    return sum(
        label != repaired
        for doc in docs
        for label, repaired in zip(
            labels_of_words(doc, attribute), labels_of_words(doc, attribute, scheme), strict=True
        )
    )


def aligned_labels(example: Example, attribute: str, scheme: str | None = None) -> list[str | None]:
    """Return the gold label of each token of the predicted Doc; None for one without a label, and
    for whitespace. Arguments: see `labels_of_words`.
    """
    labels = labels_of_words(example.y, attribute, scheme)
    if numpy.array_equal(example.x.to_array(ORTH), example.y.to_array(ORTH)):
        return labels
    alignment = example.alignment
    aligned: list[str | None] = []
    for i, token in enumerate(example.x):
        found = {labels[j] for j in alignment.x2y[i].tolist()}
        aligned.append(found.pop() if len(found) == 1 and not token.is_space else None)
    if scheme is not None:
        _align_spans(example, labels, aligned, scheme)
    return aligned


def _align_spans(
    example: Example, labels: list[str | None], aligned: list[str | None], scheme: str
) -> None:
    """Mark the spans whose tokens are cut otherwise in the predicted Doc: with one B- each."""
    to_x, to_y = example.alignment.y2x, example.alignment.x2y
    for span in spans_of(labels):
        tokens = sorted({i for j in range(span.start, span.end) for i in to_x[j].tolist()})
        if len(tokens) == span.end - span.start and all(len(to_y[i]) == 1 for i in tokens):
            continue
        inside = {j for i in tokens for j in to_y[i].tolist()}
        fits = tokens and min(inside) >= span.start and max(inside) < span.end
        marked = mark([MarkedSpan(0, len(tokens), span.type)], len(tokens), scheme)
        for i, label in zip(tokens, marked, strict=True):
            aligned[i] = label if fits else None


def gold_labels(examples: Iterable[Example], attribute: str, scheme: str | None = None) -> set[str]:
    """Return all labels of the words of the reference Docs. Arguments: see `labels_of_words`."""
    gold: set[str | None] = set()
    for example in examples:
        gold.update(labels_of_words(example.y, attribute, scheme))
    return {label for label in gold if label}


def affirmed(gold: set[str], neg_prefix: str) -> set[str]:
    """Return gold labels without the prefix that denies them, "" for none; ValueError if a label is
    the prefix itself.
    """
    if neg_prefix and neg_prefix in gold:
        raise ValueError(
            f"the training data have the label {neg_prefix!r}, but a label that starts with "
            f"neg_prefix = {neg_prefix!r} denies the rest of it. Set another neg_prefix in the "
            'config, such as neg_prefix = "~".'
        )
    return {label.removeprefix(neg_prefix) for label in gold}


def labels_to_learn(
    examples: Iterable[Example], attribute: str, neg_prefix: str, scheme: str | None = None
) -> set[str]:
    """Return the labels that the gold annotation affirms or denies, and the soft labels.
    Arguments: see `labels_of_words`.
    """
    examples = list(examples)
    soft = [soft_labels(example.reference, attribute) for example in examples]
    taught = {label for one in soft if one is not None for label in one.labels}
    return affirmed(gold_labels(examples, attribute, scheme), neg_prefix) | taught


def read_examples(get_examples: Callable[[], Iterable[Example]]) -> list[Example]:
    """Read all training examples; ValueError if they can't be read, or if there are none."""
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
    names = {name for example in examples for name in label_extensions(example.y)}
    remedies += [
        f"they have token._.{name}: use the factory {LABEL_FACTORY} with extension = {name!r}"
        for name in sorted(names - {attribute})
    ]
    if not remedies and attribute not in FACTORIES:
        remedies = ["save the corpus with DocBin(store_user_data=True)"]
    if not remedies:
        remedies = ["annotate them, or list the labels in the config, [initialize.components]"]
    raise ValueError(f"no {attribute} found in the training examples; {'; '.join(remedies)}")


def check_known(used: set[str], labels: Sequence[str], neg_prefix: str) -> None:
    """Raise a ValueError if training uses labels that the component lacks."""
    unknown = used.difference(labels)
    if unknown:
        raise ValueError(
            "the training data have labels that the component lacks: "
            f'{", ".join(sorted(unknown))}. Set new_labels = "add" to add labels in training; or '
            "initialize the component with all of them, or list them in the config, "
            f"[initialize.components]. (A label that starts with neg_prefix = {neg_prefix!r} "
            "denies the rest of it.)"
        )


def score_labels(
    examples: Iterable[Example],
    *,
    attribute: str = "tag",
    spans: str | None = None,
    scheme: str | None = None,
    labels: Sequence[str] = (),
    **settings: Any,
) -> dict[str, Any]:
    """Score the annotation of an attribute; for "morph" also each feature. If labels mark spans,
    score those by spaCy's scorer, too.

    examples (Iterable[Example]): The examples.
    attribute (str): "tag", "pos", "morph", or the name of an extension.
    spans (str | None): Where the spans are: "ents", or a key of `doc.spans`.
    scheme (str | None): The scheme of the labels: gold labels that break it count as the labels
        that mark the same spans. "auto" for the scheme that all labels have in common.
    labels (Sequence[str]): The labels that the component has.
    settings (Any): Passed on to `Scorer.score_token_attr`.
    RETURNS (dict[str, Any]): "tag_acc", "pos_acc", "NAME_acc" of an extension, or "morph_acc" and
        "morph_per_feat"; of spans "ents_p", "ents_r", "ents_f" and "ents_per_type", or
        "spans_KEY_p" and so on.
    """
    examples = list(examples)
    if attribute == "morph":
        settings["getter"] = lambda token, _: token.morph.key
    elif attribute not in FACTORIES:
        settings["getter"] = lambda token, _: token._.get(attribute)
    scheme = scheme_of(labels, scheme)
    if scheme is not None:
        docs = [doc for example in examples for doc in (example.x, example.y)]
        of_docs = {id(doc): labels_of_words(doc, attribute, scheme) for doc in docs}
        settings["getter"] = lambda token, _: of_docs[id(token.doc)][token.i]
    scores = Scorer.score_token_attr(examples, attribute, **settings)
    if attribute == "morph":
        scores |= Scorer.score_token_attr_per_feat(examples, attribute, **settings)
    if spans is not None:
        gold = [labels_of_words(example.y, attribute) for example in examples]
        scores |= score_spans(examples, gold, spans)
    return scores


def annotate(
    docs: Sequence[Doc],
    prediction: Prediction,
    *,
    attribute: str,
    overwrite: bool,
    tagger: str,
    spans: str | None = None,
) -> None:
    """Write labels to Docs, their probabilities if there are any, and the spans that they mark.

    overwrite (bool): Whether to replace annotation that a Doc has already.
    tagger (str): Name of the component.
    spans (str | None): Where to write spans: "ents" or a key of `doc.spans`; None for nowhere.
    RAISES: ValueError if the application has an extension of the same name as one that stored
        probabilities need, or if there are not as many labels as tokens.
    """
    labels, probabilities = (*prediction.labels, space_label(attribute)), prediction.probabilities
    if probabilities is not None:
        require_extensions(attribute)
    label_ids = [to_numpy(ids).astype("int64") for ids in prediction.label_ids]
    values = _values_of_vocabs(docs, label_ids, labels, attribute) if attribute in FACTORIES else {}
    for i, (doc, ids) in enumerate(zip(docs, label_ids, strict=True)):
        if len(ids) != len(doc):
            raise ValueError(f"{len(ids)} labels do not fit {len(doc)} tokens: {doc!r:.40}")
        if attribute in FACTORIES:
            is_written = _write(doc, attribute, values[id(doc.vocab)][ids], overwrite)
        else:
            own = [labels[label_id] for label_id in ids.tolist()]
            is_written = write_labels(doc, attribute, own, overwrite)
        if spans is not None:
            write_spans(doc, labels_of_words(doc, attribute), spans, overwrite)
        if not is_written and has_those_of_another(doc, attribute, tagger):
            continue
        if probabilities is not None:
            store(doc, attribute, tagger, prediction.labels, probabilities[i])
        elif is_written:
            forget(doc, attribute)


def _values_of_vocabs(
    docs: Sequence[Doc], label_ids: list[Ints1d], labels: Sequence[str], attribute: str
) -> dict[int, Any]:
    """Return the numbers that encode the used labels in each vocab, by the id of the vocab."""
    counts = numpy.bincount(numpy.concatenate([*label_ids, EMPTY]) - WHITESPACE)
    used = (numpy.flatnonzero(counts) + WHITESPACE).tolist()
    vocabs = {id(doc.vocab): doc.vocab for doc in docs}
    values = {key: numpy.zeros(len(labels), dtype="uint64") for key in vocabs}
    for (key, vocab), i in product(vocabs.items(), used):
        values[key][i] = _value_of(labels[i], attribute, vocab)
    return values


def _value_of(label: str, attribute: str, vocab: Vocab) -> int:
    """Return the number that encodes a label in a Doc."""
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
