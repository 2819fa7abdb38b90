"""Labels in, annotated Docs out."""

from collections.abc import Sequence
from typing import Any

import numpy
from spacy.tokens import Doc
from thinc.api import to_numpy
from thinc.types import Floats2d, Ints1d

from .confidence import forget, has_those_of_another, require_extensions, store
from .labels import value_of


def annotate(
    docs: Sequence[Doc],
    label_ids: Sequence[Ints1d],
    probabilities: Sequence[Floats2d],
    *,
    labels: tuple[str, ...],
    attribute: str,
    overwrite: bool,
    tagger: str,
) -> None:
    """Write labels to Docs, and let these carry the probabilities of the tagger that wrote them.

    docs (Sequence[Doc]): The Docs.
    label_ids (Sequence[Ints1d]): (tokens,) the index of each token's label, for each Doc.
    probabilities (Sequence[Floats2d]): (tokens, labels) for each Doc; none if they aren't stored.
    labels (tuple[str, ...]): The labels.
    attribute (str): "tag", "pos" or "morph".
    overwrite (bool): Whether to replace annotation that a Doc has already.
    tagger (str): Name of the component.
    RAISES: ValueError if an extension that probabilities need is the application's, or if there
        are not as many labels as tokens.
    """
    if probabilities:
        require_extensions(attribute)
    label_ids = [to_numpy(ids).astype("int64") for ids in label_ids]
    counts = numpy.bincount(numpy.concatenate([*label_ids, numpy.zeros(0, dtype="int64")]))
    used = {i: labels[i] for i in numpy.flatnonzero(counts).tolist()}
    values = {id(doc.vocab): numpy.zeros(len(labels), dtype="uint64") for doc in docs}
    for vocab in {id(doc.vocab): doc.vocab for doc in docs}.values():
        for i, label in used.items():
            values[id(vocab)][i] = value_of(label, attribute, vocab)
    for i, (doc, ids) in enumerate(zip(docs, label_ids, strict=True)):
        if len(ids) != len(doc):
            raise ValueError(f"{len(ids)} labels are not those of {len(doc)} tokens: {doc!r:.40}")
        written = _write(doc, attribute, values[id(doc.vocab)][ids], overwrite)
        if not written and has_those_of_another(doc, attribute, tagger):
            continue
        if probabilities:
            store(doc, attribute, tagger, labels, probabilities[i])
        elif written:
            forget(doc, attribute)


def _write(doc: Doc, attribute: str, annotation: Any, overwrite: bool) -> bool:
    """Annotate a Doc, and return whether there was something to write."""
    if not len(doc):
        return False
    if not overwrite:
        present = doc.to_array(attribute)
        if present.all():
            return False
        annotation = numpy.where(present == 0, annotation, present)
    doc.from_array(attribute, annotation)
    return True
