"""Probabilities of labels, stored in Docs.

`doc._.tag_probabilities` is the (tokens, labels) array, `doc._.tag_labels` are the labels of its
columns, `token._.tag_confidence` is the probability of the token's label, and
`token._.tag_k_best(k)` returns its k most probable labels. For parts of speech and morphology, the
names begin with `pos` and `morph`; for labels in an extension, with its name. Whitespace has a row
of zeros, and the confidence 1.

A Doc stores the probabilities of the tagger that wrote its labels, and the tokens they belong to,
in `doc.user_data` under the key of an extension.
"""

from collections.abc import Callable
from functools import cache, partial
from math import inf
from operator import index
from typing import Any

import numpy
from spacy.attrs import IDX, ORTH
from spacy.morphology import Morphology
from spacy.tokens import Doc, Token
from thinc.api import to_numpy

from ..model.types import Floats1d, Floats2d

# The labels of whitespace tokens, as spaCy's pipelines give them; in extensions it has none.
SPACE_LABELS = {"tag": "_SP", "pos": "SPACE", "morph": Morphology.EMPTY_MORPH}
TOKEN = [ORTH, IDX]  # a token is identified by its form and its offset


@cache
def _extensions(attribute: str) -> dict[str, tuple[Any, dict[str, Callable[..., Any]]]]:
    """Return the extensions of an attribute: the classes that have them, and their functions."""
    return {
        f"{attribute}_probabilities": (Doc, {"getter": partial(_stored, attribute, "values")}),
        f"{attribute}_labels": (Doc, {"getter": partial(_stored, attribute, "labels")}),
        f"{attribute}_confidence": (Token, {"getter": partial(confidence, attribute)}),
        f"{attribute}_k_best": (Token, {"method": partial(k_best, attribute=attribute)}),
    }


def space_label(attribute: str) -> str:
    """Return the label of whitespace tokens, which is certain; "" for none."""
    return SPACE_LABELS.get(attribute, "")


def register_extensions(attribute: str) -> None:
    """Register the extensions of an attribute, except for names that are taken. A component does
    so when it is created; a program that only reads Docs from a DocBin must call this.

    attribute (str): "tag", "pos", "morph", or the name of an extension.
    """
    for name, (owner, function) in _extensions(attribute).items():
        if not owner.has_extension(name):
            owner.set_extension(name, **function)


def require_extensions(attribute: str) -> None:
    """Raise a ValueError if the application has an extension of the same name."""
    register_extensions(attribute)
    for name, (owner, function) in _extensions(attribute).items():
        _, method, getter, _ = owner.get_extension(name)
        if function not in ({"getter": getter}, {"method": method}):
            raise ValueError(
                f"probabilities can't be stored, as the application has an extension "
                f"{owner.__name__}._.{name}: rename it, or use predict_probabilities"
            )


def store(
    doc: Doc, attribute: str, tagger: str, labels: tuple[str, ...], probabilities: Floats2d
) -> None:
    """Store (tokens, labels) the probabilities of labels in a Doc.

    tagger (str): Name of the component that predicted them.
    """
    _user_data(doc)[_key(attribute)] = {
        "tagger": tagger,
        "labels": tuple(labels),
        "values": probabilities,
        "tokens": doc.to_array(TOKEN),
    }


def forget(doc: Doc, attribute: str) -> None:
    """Remove the probabilities from a Doc, if it has any."""
    _user_data(doc).pop(_key(attribute), None)


def has_those_of_another(doc: Doc, attribute: str, tagger: str) -> bool:
    """Return whether a Doc has the probabilities of another tagger for its present tokens."""
    stored = _user_data(doc).get(_key(attribute))
    return stored is not None and stored["tagger"] != tagger and _are_of(stored, doc)


def confidence(attribute: str, token: Token) -> float:
    """Return the probability of a token's label: 0 if the tagger lacks that label."""
    labels, probabilities = _find(token, attribute)
    if attribute == "morph":
        label = str(token.morph) or (Morphology.EMPTY_MORPH if token.has_morph() else "")
    elif attribute in SPACE_LABELS:
        label = getattr(token, f"{attribute}_")
    else:
        label = token._.get(attribute) or ""
    if token.is_space and label == space_label(attribute):
        return 1.0
    return float(probabilities[labels.index(label)]) if label in labels else 0.0


def confidences(doc: Doc, attribute: str) -> list[float]:
    """Return the probability of each token's label; ValueError if the Doc has no probabilities."""
    return [confidence(attribute, token) for token in doc]


def k_best(token: Token, k: int, *, attribute: str) -> list[tuple[str, float]]:
    """Return the k most probable labels of a token and their probabilities, the best first; one
    label for whitespace.

    RAISES: ValueError if k is not a whole number, less than 1, or more than there are labels.
    """
    labels, probabilities = _find(token, attribute)
    k = check_number("k", k, len(labels), "labels")
    if token.is_space:
        return [(space_label(attribute), 1.0)]
    best = numpy.argsort(-to_numpy(probabilities), kind="stable")[:k]
    return [(labels[i], float(probabilities[i])) for i in best]


def check_number(name: str, value: int, n: float = inf, what: str = "") -> int:
    """Return a number of any integer type as an int; ValueError if it is not from 1 to n.

    name (str): Name of the argument.
    what (str): What n counts.
    """
    try:
        number = index(value)
    except TypeError:
        raise ValueError(f"{name} = {value!r} must be a whole number") from None
    if not 1 <= number <= n:
        allowed = f"from 1 to {n}, the number of {what}" if n < 10**18 else "at least 1"
        raise ValueError(f"{name} = {value} must be {allowed}")
    return number


def _find(token: Token, attribute: str) -> tuple[tuple[str, ...], Floats1d]:
    """Return the labels of a Doc's columns, and the probabilities of a token."""
    stored = _user_data(token.doc).get(_key(attribute))
    if stored is None:
        raise ValueError(
            "this Doc has no probabilities: set store_probabilities = true for the component "
            "before it tags the Doc. Doc.from_docs, Span.as_doc and a DocBin without "
            "store_user_data drop them: use the Doc that was tagged, or tag this one."
        )
    tokens, key = stored["tokens"], [token.orth, token.idx]
    i = token.i
    if tokens[i : i + 1].tolist() != [key]:  # tokens before it were merged or split
        i = int(tokens[:, 1].searchsorted(token.idx))
    if tokens[i : i + 1].tolist() != [key]:
        raise ValueError(_changed(f"the token {token.text!r}"))
    return tuple(stored["labels"]), stored["values"][i]


def _stored(attribute: str, name: str, doc: Doc) -> Any:
    stored = _user_data(doc).get(_key(attribute))
    if stored is None:
        return None
    if not _are_of(stored, doc):
        raise ValueError(_changed("this Doc"))
    return stored[name]


def _are_of(stored: dict[str, Any], doc: Doc) -> bool:
    return numpy.array_equal(stored["tokens"], doc.to_array(TOKEN))


def _changed(what: str) -> str:
    return f"{what} has no probabilities, as tokens were changed after tagging: tag it again"


def _user_data(doc: Doc) -> dict[Any, Any]:
    return doc.user_data  # spaCy's stubs wrongly say that its keys are strings


def _key(attribute: str) -> tuple[str, str, None, None]:
    return "._.", f"{attribute}_probabilities", None, None
