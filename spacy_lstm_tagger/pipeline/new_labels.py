"""New labels of a component: found in examples, checked, and added to its model."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

from spacy.training import Example
from spacy.util import logger

from ..model.crf import constrain
from .labels import count_repaired, labels_to_learn, normal_form
from .spans import allowed_pairs, partners, peers_of, scheme_of

N_SHOWN = 10  # labels that a message shows


def labels_of_examples(tagger: Any, examples: Sequence[Example]) -> list[str]:
    """Return the labels that a component learns from examples, in their order.

    tagger (LSTMTagger): The component.
    examples (Sequence[Example]): The examples.
    """
    prefix = tagger.cfg["neg_prefix"]
    labels = labels_to_learn(examples, tagger.attribute, prefix)
    scheme = scheme_of([*tagger.labels, *labels], tagger.cfg["scheme"])
    return sorted(labels_to_learn(examples, tagger.attribute, prefix, scheme))


def add_labels(tagger: Any, labels: Iterable[str]) -> int:
    """Add labels to a component and its model, and those without which their scheme would be
    incomplete. A component that was initialized keeps its scheme.

    tagger (LSTMTagger): The component.
    labels (Iterable[str]): The labels; the component can have some of them already.
    RETURNS (int): How many labels were added.
    RAISES: ValueError if they are not a list of strings, or not labels of the component's attribute
        and scheme; or if its model can't get more labels.
    """
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise ValueError(f"a list of labels is needed, not {labels!r:.80}")
    normal = dict.fromkeys(normal_form(label, tagger.attribute, tagger.vocab) for label in labels)
    new = [label for label in normal if label not in tagger.labels]
    n_outputs = tagger.model.maybe_get_dim("nO")
    is_fixed = n_outputs is not None and len(tagger.labels) > 0
    setting = tagger.scheme if is_fixed else tagger.cfg["scheme"]
    scheme = scheme_of([*tagger.labels, *new], setting)
    if new and scheme is not None:
        new += partners([*tagger.labels, *new], scheme)
    for label in (*normal, *new):
        tagger.vocab.strings.add(label)
    # spaCy has no other way to the model that it rehearses with.
    models = [model for model in (tagger.model, tagger._rehearsal_model) if model is not None]
    pairs = None if scheme is None else allowed_pairs([*tagger.labels, *new], scheme)
    for model in models:
        constrain(model, pairs)
    if new and n_outputs is not None and n_outputs < len(tagger.labels) + len(new):
        _resize(tagger, models, new, scheme)
    tagger.cfg["labels"].extend(new)
    return len(new)


def _resize(tagger: Any, models: Sequence[Any], new: Sequence[str], scheme: str | None) -> None:
    if not tagger.is_resizable:
        raise ValueError(
            f"its model can't get more labels, and these are new: {', '.join(new)}. Initialize "
            "it with all labels, or use the architecture spacy-lstm-tagger.LSTMTagger.v1."
        )
    peers = None if scheme is None else peers_of(tagger.labels, new, scheme)
    for model in models:
        n_labels = len(tagger.labels) + len(new)
        model.attrs["resize_output"](model, n_labels, *([] if peers is None else [peers]))


def check_spans(tagger: Any, examples: Sequence[Example]) -> None:
    """Log the scheme of a component that is initialized, and warn of gold labels that break it.

    tagger (LSTMTagger): The component, which has its labels.
    examples (Sequence[Example]): The training examples.
    RAISES: ValueError if the component is to write spans, but its labels have no scheme.
    """
    scheme, spans = tagger.scheme, tagger.cfg["spans"]
    if scheme is None and spans is not None:
        raise ValueError(
            f"spans = {spans!r} needs labels of a scheme, such as B-city, I-city and O, and these "
            f"are not: {', '.join(tagger.labels[:N_SHOWN])}. Set spans = null"
        )
    if scheme is None:
        return
    logger.info("%s: the labels mark spans by the scheme %r", tagger.name, scheme)
    n_repaired = count_repaired([example.y for example in examples], tagger.attribute, scheme)
    if n_repaired:
        warnings.warn(
            f"{tagger.name}: {n_repaired} gold labels break the scheme {scheme!r}, such as an I- "
            "that begins a span. They are read as the labels of the same spans",
            stacklevel=3,
        )
