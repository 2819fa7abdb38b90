"""What a network reads: word types, and the windows in which they stand."""

from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

Array = Any  # of NumPy where Docs are read, of torch in the network
Ints1d = NDArray[numpy.int64]
Ints2d = NDArray[numpy.int64]
Floats1d = NDArray[numpy.float32]
Floats2d = NDArray[numpy.float32]
Floats3d = NDArray[numpy.float32]


class TypeIds(NamedTuple):
    """The word types of a batch: distinct word forms, each described once however often it stands.

    All are integers but the vectors, which are floats of 32 bits.

    words: (types,) the word, lower-cased.
    affixes: (types, 3) prefix, suffix and shape.
    spellings: (characters,) the characters of each type, one type after another.
    spelling_lengths: (types,) how many characters each type has, at least 1.
    vectors: (types, vector_width) static vectors; zeros for a type that has none.
    """

    words: Array
    affixes: Array
    spellings: Array
    spelling_lengths: Array
    vectors: Array


class Windows(NamedTuple):
    """What the LSTM reads as one sequence each. A token that is also the context of another window
    has several positions.

    types: (positions,) the type that stands at each position: in training its index in `TypeIds`,
        in prediction the hash of its form.
    lengths: (windows,) how many positions each window has, at least 1.
    kept: (tokens,) the position that counts for each token of the batch, ascending.
    """

    types: Array
    lengths: Array
    kept: Array
