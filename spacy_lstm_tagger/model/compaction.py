"""Compaction of a trained network: smaller files, and nearly the same predictions."""

import numpy

from ..prediction.config import Weights
from .packing import round_half, round_rows
from .types import Floats2d, Ints1d
from .vocabulary import KINDS, UNKNOWN, Vocabulary

# Without 60% of 45,000 words, half of 7,200 affixes and rounded, 0.5 of 1,000 tokens got another
# tag. Projections of the embeddings, or their effect on the output, selected no better than norms.
DROPPED = 0.6
MOST_AFFIXES = 0.5
EMBEDDINGS = ("words.weight", "affixes.weight")


def compact(
    vocabulary: Vocabulary, weights: Weights, dropped: float = DROPPED
) -> tuple[Vocabulary, Weights]:
    """Round the weights of a network, so that they are saved in fewer bytes, and drop the words and
    affixes whose embeddings differ least from those of unknown ones.

    dropped (float): The share of words to drop, from 0 to 1; and of affixes, up to half of them.
    RETURNS (tuple[Vocabulary, Weights]): A smaller vocabulary, and its weights.
    """
    words = _rows_to_keep(weights["words.weight"], dropped)
    keys, kept = {"words": words}, {**weights, "words.weight": weights["words.weight"][words]}
    if "affixes.weight" in weights:
        affixes = weights["affixes.weight"]
        keys["affixes"] = _rows_to_keep(affixes - affixes[UNKNOWN], min(dropped, MOST_AFFIXES))
        kept["affixes.weight"] = affixes[keys["affixes"]]
    lists = {kind: list(vocabulary.ids(kind)) for kind in KINDS}
    for kind, rows in keys.items():
        lists[kind] = [lists[kind][i - 1] for i in rows[1:].tolist()]
    smaller = Vocabulary(lists["words"], lists["affixes"], lists["characters"])
    smaller.is_rare = vocabulary.is_rare[words]
    return smaller, {
        name: (round_rows if name in EMBEDDINGS else round_half)(values)
        for name, values in kept.items()
    }


def _rows_to_keep(differences: Floats2d, dropped: float) -> Ints1d:
    """Return the rows of an embedding to keep, in their order; that of UNKNOWN is the first.

    differences (Floats2d): (1 + keys, width) embeddings, less that of an unknown key.
    """
    n_keys = len(differences) - 1
    order = numpy.argsort(-numpy.linalg.norm(differences[1:], axis=1), kind="stable")
    kept = order[: n_keys - int(dropped * n_keys)]
    return numpy.concatenate(([UNKNOWN], 1 + numpy.sort(kept)))
