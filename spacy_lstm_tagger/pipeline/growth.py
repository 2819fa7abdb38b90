"""Growth of a component: labels that it learns or that are added, under a span scheme."""

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from spacy.training import Example
from spacy.util import logger

from ..model.crf import constrain
from .labels import count_repaired, labels_to_learn
from .spans import allowed_pairs, misfits, partners, peers_of, scheme_of

if TYPE_CHECKING:
    from .tagger import LSTMTagger


def add_labels(tagger: "LSTMTagger", labels: Iterable[str]) -> int:
    """Add labels that a component lacks to it and its model; no prediction changes until they are
    trained.

    RETURNS (int): How many were added, with the other labels of their spans.
    RAISES: ValueError if they are not strings, not labels of its attribute or of its scheme, or if
        the model can't get more labels; the component stays as it was.
    """
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"a list of labels is needed, not {labels!r:.80}")
    normal = dict.fromkeys(map(tagger.normal_form, labels))
    new = [label for label in normal if label not in tagger.labels]
    n_outputs = tagger.model.maybe_get_dim("nO")
    is_fixed = n_outputs is not None and len(tagger.labels) > 0  # then it keeps its scheme
    scheme = tagger.scheme if is_fixed else scheme_of([*tagger.labels, *new], tagger.cfg["scheme"])
    wrong = [] if scheme is None else misfits(new, scheme)
    if wrong:
        raise ValueError(
            f"its labels have the scheme {scheme!r}, and these are none of it: {', '.join(wrong)}. "
            "Train another pipeline with them, or set scheme = null"
        )
    if new and scheme is not None:
        new += partners([*tagger.labels, *new], scheme)
    for label in (*normal, *new):
        tagger.vocab.strings.add(label)
    pairs = None if scheme is None else allowed_pairs([*tagger.labels, *new], scheme)
    for model in tagger.models:
        constrain(model, pairs)
    if new and n_outputs is not None and n_outputs < len(tagger.labels) + len(new):
        _resize(tagger, new, scheme)
    tagger.cfg["labels"].extend(new)
    return len(new)


def _resize(tagger: "LSTMTagger", new: Sequence[str], scheme: str | None) -> None:
    if not tagger.is_resizable:
        raise ValueError(
            f"its model can't get more labels, and these are new: {', '.join(new)}. Initialize "
            "it with all labels, or use the architecture spacy-lstm-tagger.LSTMTagger.v1."
        )
    peers = None if scheme is None else peers_of(tagger.labels, new, scheme)
    n_labels = len(tagger.labels) + len(new)
    for model in tagger.models:
        model.attrs["resize_output"](model, n_labels, *([] if peers is None else [peers]))


def labels_of_examples(tagger: "LSTMTagger", examples: list[Example]) -> list[str]:
    """Return the labels that a component is to learn from examples, sorted."""
    prefix = tagger.cfg["neg_prefix"]
    labels = labels_to_learn(examples, tagger.attribute, prefix)
    scheme = scheme_of([*tagger.labels, *labels], tagger.cfg["scheme"])
    return sorted(labels_to_learn(examples, tagger.attribute, prefix, scheme))


def check_labels_to_learn(tagger: "LSTMTagger", examples: list[Example]) -> None:
    """Log the span scheme of a component's labels, and warn about odd labels.

    RAISES: ValueError if there are to be spans, and the labels have no scheme.
    """
    scheme, spans = tagger.scheme, tagger.cfg["spans"]
    if len(tagger.labels) == 1:
        logger.warning(
            "%s: all tokens have the label %r, so there is nothing to learn. Check the corpus, and "
            "how it was converted.",
            tagger.name,
            tagger.labels[0],
        )
    if scheme is None and spans is not None:
        raise ValueError(
            f"spans = {spans!r} needs labels of a scheme, such as B-city, I-city and O, and these "
            f"are not: {', '.join(tagger.labels[:10])}. Set spans = null"
        )
    if scheme is None:
        return
    n_repaired = count_repaired([example.y for example in examples], tagger.attribute, scheme)
    logger.info("%s: the labels mark spans by the scheme %r", tagger.name, scheme)
    if n_repaired:
        warnings.warn(
            f"{tagger.name}: {n_repaired} gold labels break the scheme {scheme!r}, such as an I- "
            "that begins a span. They are read as the labels of the same spans",
            stacklevel=4,
        )
