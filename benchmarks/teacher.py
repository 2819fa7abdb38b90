"""The layer that teacher.cfg needs: python -m spacy train ... --code benchmarks/teacher.py"""

from collections.abc import Callable

from spacy.util import registry
from thinc.api import Model
from thinc.types import Floats2d, Ragged


@registry.layers("first_and_last_piece.v1")
def first_and_last_piece() -> Model[Ragged, Floats2d]:
    """Return a layer that joins the vectors of the first and the last piece of each word. A word
    without pieces, such as a space, has zeros.
    """
    return Model("first_and_last_piece", _forward)


def _forward(
    model: Model[Ragged, Floats2d], pieces: Ragged, is_train: bool
) -> tuple[Floats2d, Callable[[Floats2d], Ragged]]:
    vectors, lengths = pieces.dataXd, pieces.lengths
    width, has_pieces = vectors.shape[1], lengths > 0
    ends = lengths.cumsum()
    first, last = (ends - lengths)[has_pieces], (ends - 1)[has_pieces]
    joined = model.ops.alloc2f(len(lengths), 2 * width)
    joined[has_pieces, :width] = vectors[first]
    joined[has_pieces, width:] = vectors[last]

    def backprop(d_joined: Floats2d) -> Ragged:
        d_vectors = model.ops.alloc2f(*vectors.shape)
        d_vectors[first] += d_joined[has_pieces, :width]
        d_vectors[last] += d_joined[has_pieces, width:]
        return Ragged(d_vectors, lengths)

    return joined, backprop
