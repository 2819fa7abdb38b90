"""Cache of word types for prediction."""

from collections.abc import Callable, Sequence
from threading import Lock

import numpy

from .types import Floats2d, Ints1d

CACHE_SIZE = 2**25  # bytes: 7,000 word types of the default tagger
ENTRY_SIZE = 128  # bytes, of a dict's entry with its two integers: measured, 97 to 120

Tables = Sequence[Floats2d]
Make = Callable[[list[int]], Tables]


class Generation:
    """Tables that are filled until they are full. A row is written only once; row 0 is zeros and
    belongs to no type.

    tables: (rows, width) each.
    rows: The row of each type, by the type's key.
    n_rows: Number of rows that are filled.
    """

    def __init__(self, keys: Sequence[int], new: Tables, capacity: int = 0) -> None:
        """Start with the types of a batch.

        keys (Sequence[int]): The keys of the types.
        new (Sequence[Floats2d]): (types, width) the tables' rows for these types.
        capacity (int): Number of types to make room for, at least these.
        """
        n_rows = 1 + max(capacity, len(keys))
        self.tables = [numpy.empty((n_rows, table.shape[1]), table.dtype) for table in new]
        for table in self.tables:
            table[0] = 0
        self.rows: dict[int, int] = {}
        self.n_rows = 1
        self.add(keys, new)

    def has_room(self, n_types: int) -> bool:
        """Return whether `n_types` more types fit."""
        return self.n_rows + n_types <= len(self.tables[0])

    def add(self, keys: Sequence[int], new: Tables) -> None:
        """Write the rows of types, and only then publish their numbers: threads may be reading."""
        begin, end = self.n_rows, self.n_rows + len(keys)
        for table, rows in zip(self.tables, new, strict=True):
            table[begin:end] = rows
        self.n_rows = end
        self.rows.update(zip(keys, range(begin, end), strict=True))

    def find(self, keys: list[int]) -> tuple[Tables, Ints1d]:
        """Return the tables, and the row of each key; KeyError if one is missing."""
        rows = self.rows
        return self.tables, numpy.asarray([rows[key] for key in keys], dtype="int64")


class TypeCache:
    """Tables that have a row for each word type. Threads can share it.

    It holds at most `CACHE_SIZE` bytes. When it is full, it is emptied; a thread that still reads
    the old tables keeps them until its batch is done. So n threads hold at most (n + 1) times as
    much, plus the tables of a batch that has more types than the cache has room for, or that meets
    another thread while that one adds types.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._current: Generation | None = None

    def find(self, keys: list[int], make: Make) -> tuple[Tables, Ints1d]:
        """Find the rows of types. Rows that are missing are made and cached.

        keys (list[int]): (positions,) the key of the type at each position.
        make (Callable): Takes distinct keys, and returns the rows of these types: tables,
            (types, width) each.
        RETURNS (tuple[Tables, Ints1d]): Tables whose row 0 is zeros; and (positions,) the row of
            the type at each position.
        """
        generation = self._current
        if generation is None:
            return self._begin(keys, make).find(keys)
        try:
            return generation.find(keys)
        except KeyError:
            missing = [key for key in dict.fromkeys(keys) if key not in generation.rows]
        if not generation.has_room(len(missing)):
            return self._begin(keys, make).find(keys)
        return self._extend(generation, missing, make(missing), keys, make).find(keys)

    def _begin(self, keys: list[int], make: Make) -> Generation:
        """Begin a generation with the types of a batch; keep it if there is room for others."""
        distinct = list(dict.fromkeys(keys))
        new = make(distinct)
        capacity = CACHE_SIZE // (ENTRY_SIZE + sum(4 * table.shape[1] for table in new))
        generation = Generation(distinct, new, capacity)
        if len(distinct) < capacity:
            self._current = generation
        return generation

    def _extend(
        self, generation: Generation, missing: list[int], new: Tables, keys: list[int], make: Make
    ) -> Generation:
        """Add types, unless another thread is adding some. Waiting for that thread could take
        forever in a forked process; so the batch then gets tables of its own.
        """
        if self._lock.acquire(blocking=False):
            try:
                if generation.has_room(len(missing)):
                    generation.add(missing, new)
                    return generation
            finally:
                self._lock.release()
        distinct = list(dict.fromkeys(keys))
        return Generation(distinct, make(distinct))
