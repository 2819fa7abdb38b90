"""Word types in, what prediction needs to know of them out; kept from batch to batch."""

from collections.abc import Callable, Sequence
from threading import Lock

import numpy

from .inputs import Floats2d, Ints1d

MEMORY_SIZE = 2**25  # bytes: 7,000 word types of the default tagger
ENTRY_SIZE = 128  # bytes, of a dict's entry with its two integers: measured, 97 to 120

Tables = Sequence[Floats2d]
Make = Callable[[list[int]], Tables]


class Generation:
    """What is remembered until there is no more room: tables, whose rows are written only once;
    the row of each type in them; and how many rows there are. Row 0 is of no type: zeros.

    types: The numbers of its first types.
    new: Tables of these types.
    capacity: How many types it has room for; those at least.
    """

    def __init__(self, types: Sequence[int], new: Tables, capacity: int = 0) -> None:
        n_rows = 1 + max(capacity, len(types))
        self.tables = [numpy.empty((n_rows, table.shape[1]), table.dtype) for table in new]
        for table in self.tables:
            table[0] = 0
        self.rows: dict[int, int] = {}
        self.n_rows = 1
        self.add(types, new)

    def has_room(self, n_types: int) -> bool:
        """Return whether so many types can be added."""
        return self.n_rows + n_types <= len(self.tables[0])

    def add(self, types: Sequence[int], new: Tables) -> None:
        """Write the rows of types, and only then say where they are: threads read all the time."""
        begin, end = self.n_rows, self.n_rows + len(types)
        for table, rows in zip(self.tables, new, strict=True):
            table[begin:end] = rows
        self.n_rows = end
        self.rows.update(zip(types, range(begin, end), strict=True))

    def find(self, types: list[int]) -> tuple[Tables, Ints1d]:
        """Return the tables, and the row of each type; KeyError if one is missing."""
        rows = self.rows
        return self.tables, numpy.asarray([rows[number] for number in types], dtype="int64")


class Memory:
    """Tables that have a row for each word type. Threads can share it.

    It holds `MEMORY_SIZE` bytes at most. When it is full, it forgets all types and begins again; a
    thread that still reads the old tables holds them until its batch is done. So n threads hold
    n + 1 times as much at most, and each of them the tables of its own batch, if it has more types
    than there is room for, or if another thread adds some at the same time.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._current: Generation | None = None

    def find(self, types: list[int], make: Make) -> tuple[Tables, Ints1d]:
        """Find the rows of types; make those that are missing, and remember them.

        types (list[int]): (positions,) the number of the type at each position.
        make (Callable): Takes the numbers of some types, each once, and returns their rows:
            tables, (types, width) each.
        RETURNS (tuple[Tables, Ints1d]): Tables, whose row 0 is zeros; and (positions,) the row of
            the type at each position.
        """
        generation = self._current
        if generation is None:
            return self._begin(types, make).find(types)
        try:
            return generation.find(types)
        except KeyError:
            missing = [number for number in dict.fromkeys(types) if number not in generation.rows]
        if not generation.has_room(len(missing)):
            return self._begin(types, make).find(types)
        return self._extend(generation, missing, make(missing), types, make).find(types)

    def _begin(self, types: list[int], make: Make) -> Generation:
        """Begin a generation with the types of a batch; keep it if that leaves room for others."""
        own = list(dict.fromkeys(types))
        new = make(own)
        capacity = MEMORY_SIZE // (ENTRY_SIZE + sum(4 * table.shape[1] for table in new))
        generation = Generation(own, new, capacity)
        if len(own) < capacity:
            self._current = generation
        return generation

    def _extend(
        self, generation: Generation, missing: list[int], new: Tables, types: list[int], make: Make
    ) -> Generation:
        """Add types, unless another thread is adding some. Waiting for it could last forever, in a
        process that was forked in the meantime; so the batch then gets tables of its own.
        """
        if self._lock.acquire(blocking=False):
            try:
                if generation.has_room(len(missing)):
                    generation.add(missing, new)
                    return generation
            finally:
                self._lock.release()
        return Generation(own := list(dict.fromkeys(types)), make(own))
