"""Soft labels: the probabilities of labels that a Doc carries for another tagger to learn from.

`doc.user_data` has them under one key, for each attribute. A DocBin with `store_user_data` keeps
them: of each token the k most probable labels, in half precision. Fewer labels than a tagger has
are enough, as most have a probability of nearly zero (k = 8 lost no accuracy on UD English EWT).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray
from spacy.attrs import ORTH
from spacy.tokens import Doc
from spacy.training import Example

Floats2d = NDArray[numpy.float32]
Ints2d = NDArray[numpy.integer[Any]]

KEY = "spacy_lstm_tagger.soft_labels"
K = 8


class SoftLabels(NamedTuple):
    """The labels that the tokens of a Doc can have, and their probabilities.

    labels: All labels that occur.
    ids: (tokens, k) which labels each token can have, as places in `labels`.
    probabilities: (tokens, k) their probabilities; each row's sum is 1, or 0 if nothing is known
        of a token.
    """

    labels: Sequence[str]
    ids: Ints2d
    probabilities: Floats2d

    @property
    def best(self) -> list[str]:
        """The most probable label of each token; "" if nothing is known of it."""
        if not len(self.ids):
            return []
        rows = numpy.arange(len(self.ids))
        places = self.probabilities.argmax(axis=1)
        pairs = zip(self.ids[rows, places], self.probabilities[rows, places], strict=True)
        return [self.labels[i] if p > 0 else "" for i, p in pairs]

    def dense(self, labels: Sequence[str]) -> Floats2d:
        """Return (tokens, labels) the probability of each of some labels, which include these."""
        column_of = {label: column for column, label in enumerate(labels)}
        columns = numpy.asarray([column_of[label] for label in self.labels], dtype="int64")
        dense = numpy.zeros((len(self.ids), len(labels)), dtype="float32")
        if self.ids.size:
            dense[numpy.arange(len(dense))[:, None], columns[self.ids]] = self.probabilities
        return dense


def store(
    doc: Doc, attribute: str, labels: Sequence[str], probabilities: Floats2d, k: int = K
) -> None:
    """Store the k most probable labels of each token in a Doc.

    attribute (str): "tag", "pos" or "morph".
    probabilities (Floats2d): (tokens, labels) the probabilities of all labels.
    """
    best = numpy.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    values = numpy.take_along_axis(probabilities, best, axis=1)
    total = values.sum(axis=1, keepdims=True)
    used, ids = numpy.unique(best, return_inverse=True)
    doc.user_data.setdefault(KEY, {})[attribute] = {
        "labels": [labels[i] for i in used.tolist()],
        "ids": ids.reshape(best.shape).astype("uint8" if len(used) <= 256 else "uint16"),
        "probabilities": (values / numpy.where(total > 0, total, 1)).astype("float16"),
    }


def soft_labels(doc: Doc, attribute: str) -> SoftLabels | None:
    """Return the soft labels that a Doc carries for an attribute; None if there are none.

    RAISES: ValueError if they are those of other tokens.
    """
    stored: Any = doc.user_data.get(KEY, {}).get(attribute)
    if stored is None:
        return None
    if len(stored["ids"]) != len(doc):
        raise ValueError(
            f"the soft labels of a Doc are those of other tokens: {len(stored['ids'])} instead of "
            f"{len(doc)}. Its tokens were changed after teachers labelled it: {doc.text!r:.60}"
        )
    return SoftLabels(
        stored["labels"], stored["ids"], numpy.asarray(stored["probabilities"], dtype="float32")
    )


def aligned_soft_labels(example: Example, attribute: str) -> SoftLabels | None:
    """Return the soft labels of the tokens of an Example's predicted Doc. A token that the
    reference Doc cuts otherwise has none.
    """
    soft = soft_labels(example.reference, attribute)
    if soft is None or numpy.array_equal(example.x.to_array(ORTH), example.y.to_array(ORTH)):
        return soft
    to_reference, from_reference = example.alignment.x2y, example.alignment.y2x
    ids = numpy.zeros((len(example.x), soft.ids.shape[1]), dtype="int64")
    probabilities = numpy.zeros(ids.shape, dtype="float32")
    for i in range(len(example.x)):
        same = to_reference[i].tolist()
        if len(same) == 1 and from_reference.lengths[same[0]] == 1:
            ids[i], probabilities[i] = soft.ids[same[0]], soft.probabilities[same[0]]
    return soft._replace(ids=ids, probabilities=probabilities)
