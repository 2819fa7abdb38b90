"""Probabilities in, Docs that carry them and tokens that tell them out.

`doc._.tag_probabilities` is the (tokens, labels) array, `doc._.tag_labels` names its columns,
`token._.tag_confidence` is the probability of the token's label, and `token._.tag_k_best(k)` its k
most probable labels; "tag" stands for pos and morph, too.
"""

from functools import partial

import numpy
from spacy.morphology import Morphology
from spacy.tokens import Doc, Token
from thinc.api import to_numpy
from thinc.types import Floats1d, Floats2d


def register_extensions(attribute: str) -> None:
    """Register the four extensions of an attribute. A component does so when it is made; a
    program that only reads Docs from a DocBin must do so itself.

    attribute (str): "tag", "pos" or "morph".
    """
    for name in ("probabilities", "labels"):
        if not Doc.has_extension(f"{attribute}_{name}"):
            Doc.set_extension(f"{attribute}_{name}", default=None)
    if not Token.has_extension(f"{attribute}_confidence"):
        Token.set_extension(f"{attribute}_confidence", getter=partial(confidence, attribute))
    if not Token.has_extension(f"{attribute}_k_best"):
        Token.set_extension(f"{attribute}_k_best", method=partial(k_best, attribute=attribute))


def store(doc: Doc, attribute: str, labels: tuple[str, ...], probabilities: Floats2d) -> None:
    """Let a Doc carry the probabilities of its tokens' labels; `user_data` holds them.

    doc (Doc): The Doc.
    attribute (str): "tag", "pos" or "morph".
    labels (tuple[str, ...]): The labels.
    probabilities (Floats2d): (tokens, labels)
    """
    doc._.set(f"{attribute}_labels", labels)
    doc._.set(f"{attribute}_probabilities", probabilities)


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

    RAISES: ValueError if k is less than 1, or more than there are labels.
    """
    labels, probabilities = _of(token, attribute)
    check_k(k, len(labels), "labels")
    best = numpy.argsort(-to_numpy(probabilities), kind="stable")[:k]
    return [(labels[i], float(probabilities[i])) for i in best]


def check_k(k: int, n: int, what: str) -> None:
    """Raise a ValueError if there are no k of something."""
    if not 1 <= k <= n:
        allowed = f"from 1 to {n}, the number of {what}" if n < 10**18 else "at least 1"
        raise ValueError(f"k = {k} must be {allowed}")


def _of(token: Token, attribute: str) -> tuple[tuple[str, ...], Floats1d]:
    doc = token.doc
    probabilities = doc._.get(f"{attribute}_probabilities")
    if probabilities is None:
        raise ValueError(
            "this Doc carries no probabilities: set store_probabilities = true for the "
            "lstm_tagger, or use its method predict_probabilities"
        )
    if len(probabilities) != len(doc):
        raise ValueError(
            f"the probabilities are those of another Doc: they are of {len(probabilities)} "
            f"tokens, and this one has {len(doc)}. Tag it again after changing its tokens."
        )
    return doc._.get(f"{attribute}_labels"), probabilities[token.i]
