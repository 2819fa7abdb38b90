"""Array types, and the arrays that describe a batch of texts."""

from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

Array = Any  # NumPy's where Docs are read, PyTorch's in the network
Bools1d = NDArray[numpy.bool_]
Bools2d = NDArray[numpy.bool_]
Ints1d = NDArray[numpy.int64]
Ints2d = NDArray[numpy.int64]
Keys1d = NDArray[numpy.uint64]
Floats1d = NDArray[numpy.float32]
Floats2d = NDArray[numpy.float32]
Floats3d = NDArray[numpy.float32]
Floats4d = NDArray[numpy.float32]


class TypeIds(NamedTuple):
    """Word types, described by ids. A word type is a distinct word form of a batch; it is described
    once, however often it occurs.

    All arrays have integers, except `vectors` (float32).

    words: (types,) the lower-cased word.
    affixes: (types, 3) prefix, suffix and shape.
    spellings: (characters,) the characters of all types, one type after another.
    spelling_lengths: (types,) number of characters of each type, at least 1.
    vectors: (types, vector_width) static vectors; zeros for a type without one.
    """

    words: Array
    affixes: Array
    spellings: Array
    spelling_lengths: Array
    vectors: Array


class Windows(NamedTuple):
    """Windows of a batch of texts. The LSTM reads each window as one sequence. A token can stand in
    several windows, as the context of all but one.

    tokens: (positions,) the token at each position, window after window.
    lengths: (windows,) number of positions of each window, at least 1.
    kept: (tokens,) for each token the position whose output is used, ascending.
    """

    tokens: Array
    lengths: Array
    kept: Array
