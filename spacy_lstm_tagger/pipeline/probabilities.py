"""Probabilities in; Docs that carry them, and tokens that report them, out.

`doc._.tag_probabilities` is the (tokens, labels) array, `doc._.tag_labels` names its columns,
`token._.tag_confidence` is the probability of the token's label, and `token._.tag_k_best(k)` its k
most probable labels; for pos and morph, the names begin with these.

A Doc carries the probabilities of the tagger that wrote its labels, and which tokens they belong
to; all in `doc.user_data`, under the key of an extension.
"""

from collections.abc import Callable
from functools import cache, partial
from math import inf
from operator import index
from typing import Any, cast

import numpy
from spacy.attrs import IDX, ORTH
from spacy.morphology import Morphology
from spacy.tokens import Doc, Token
from thinc.api import to_numpy
from thinc.types import Floats1d, Floats2d

TOKEN = [ORTH, IDX]  # what a token is known by: its form, and where it begins


@cache
def _extensions(attribute: str) -> dict[str, tuple[type, dict[str, Callable[..., Any]]]]:
    """Return the four extensions of an attribute: whose they are, and what they call."""
    return {
        f"{attribute}_probabilities": (Doc, {"getter": partial(_part, attribute, "values")}),
        f"{attribute}_labels": (Doc, {"getter": partial(_part, attribute, "labels")}),
        f"{attribute}_confidence": (Token, {"getter": partial(confidence, attribute)}),
        f"{attribute}_k_best": (Token, {"method": partial(k_best, attribute=attribute)}),
    }


def register_extensions(attribute: str) -> None:
    """Register the four extensions of an attribute, but for names that are taken. A component
    does so when it is made; a program that only reads Docs from a DocBin must do so itself.

    attribute (str): "tag", "pos" or "morph".
    """
    for name, (owner, function) in _extensions(attribute).items():
        if not cast(Any, owner).has_extension(name):
            cast(Any, owner).set_extension(name, **function)


def require_extensions(attribute: str) -> None:
    """Raise a ValueError if one of the four extensions is not ours, but the application's."""
    register_extensions(attribute)
    for name, (owner, function) in _extensions(attribute).items():
        _, method, getter, _ = cast(Any, owner).get_extension(name)
        if function not in ({"getter": getter}, {"method": method}):
            raise ValueError(
                f"probabilities can't be stored, as {owner.__name__}._.{name} is an extension of "
                "your own: give yours another name, or use predict_probabilities"
            )


def store(
    doc: Doc, attribute: str, tagger: str, labels: tuple[str, ...], probabilities: Floats2d
) -> None:
    """Let a Doc carry the probabilities of its tokens' labels.

    doc (Doc): The Doc.
    attribute (str): "tag", "pos" or "morph".
    tagger (str): Name of the component that found them.
    labels (tuple[str, ...]): The labels.
    probabilities (Floats2d): (tokens, labels)
    """
    _user_data(doc)[_key(attribute)] = {
        "tagger": tagger,
        "labels": tuple(labels),
        "values": probabilities,
        "tokens": doc.to_array(TOKEN),
    }


def forget(doc: Doc, attribute: str) -> None:
    """Take the probabilities away from a Doc, if it carries any."""
    _user_data(doc).pop(_key(attribute), None)


def has_those_of_another(doc: Doc, attribute: str, tagger: str) -> bool:
    """Return whether a Doc carries the probabilities of another tagger for the tokens it has."""
    stored = _user_data(doc).get(_key(attribute))
    return stored is not None and stored["tagger"] != tagger and _are_of(stored, doc)


def confidence(attribute: str, token: Token) -> float:
    """Return the probability of a token's label: 0 if the tagger doesn't know that label."""
    labels, probabilities = _of(token, attribute)
    if attribute == "morph":
        label = str(token.morph) or (Morphology.EMPTY_MORPH if token.has_morph() else "")
    else:
        label = getattr(token, f"{attribute}_")
    return float(probabilities[labels.index(label)]) if label in labels else 0.0


def k_best(token: Token, k: int, *, attribute: str) -> list[tuple[str, float]]:
    """Return the k most probable labels of a token and their probabilities, the best first.

    RAISES: ValueError if k is no whole number, less than 1, or more than there are labels.
    """
    labels, probabilities = _of(token, attribute)
    k = check_number("k", k, len(labels), "labels")
    best = numpy.argsort(-to_numpy(probabilities), kind="stable")[:k]
    return [(labels[i], float(probabilities[i])) for i in best]


def check_number(name: str, value: int, n: float = inf, what: str = "") -> int:
    """Return a number as an int; ValueError if it is no whole number from 1 to n.

    name (str): What the number is called.
    value (int): The number, of any type of integers.
    n (float): The largest one that is allowed.
    what (str): Of what there are n.
    """
    try:
        number = index(value)
    except TypeError:
        raise ValueError(f"{name} = {value!r} must be a whole number") from None
    if not 1 <= number <= n:
        allowed = f"from 1 to {n}, the number of {what}" if n < 10**18 else "at least 1"
        raise ValueError(f"{name} = {value} must be {allowed}")
    return number


def _of(token: Token, attribute: str) -> tuple[tuple[str, ...], Floats1d]:
    stored = _user_data(token.doc).get(_key(attribute))
    if stored is None:
        raise ValueError(
            "this Doc carries no probabilities: set store_probabilities = true for the component "
            "before it tags the Doc. Doc.from_docs and Span.as_doc leave them behind, as a DocBin "
            "without store_user_data does: ask the Doc that was tagged, or tag this one."
        )
    tokens, own = stored["tokens"], [token.orth, token.idx]
    i = token.i
    if tokens[i : i + 1].tolist() != [own]:  # tokens before it were merged or split
        i = int(tokens[:, 1].searchsorted(token.idx))
    if tokens[i : i + 1].tolist() != [own]:
        raise ValueError(_changed(f"the token {token.text!r}"))
    return tuple(stored["labels"]), stored["values"][i]


def _part(attribute: str, part: str, doc: Doc) -> Any:
    stored = _user_data(doc).get(_key(attribute))
    if stored is None:
        return None
    if not _are_of(stored, doc):
        raise ValueError(_changed("this Doc"))
    return stored[part]


def _are_of(stored: dict[str, Any], doc: Doc) -> bool:
    return numpy.array_equal(stored["tokens"], doc.to_array(TOKEN))


def _changed(what: str) -> str:
    return f"{what} has no probabilities, as its tokens were changed after tagging: tag it again"


def _user_data(doc: Doc) -> dict[Any, Any]:
    return doc.user_data  # whose keys are no strings only, as spaCy's stubs say


def _key(attribute: str) -> tuple[str, str, None, None]:
    return "._.", f"{attribute}_probabilities", None, None
