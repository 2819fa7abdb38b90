"""Word types in, what prediction needs to know of them out; kept from batch to batch."""

from collections.abc import Callable, Sequence
from threading import Lock

from torch import Tensor

MEMORY_SIZE = 2**26  # bytes: 12,000 word types of the default tagger

Tables = Sequence[Tensor]


class Generation:
    """What is remembered until there is no more room: tables, whose rows are written only once;
    the row of each key in them; and how many rows there are.
    """

    def __init__(self) -> None:
        self.tables: Tables = ()
        self.rows: dict[int, int] = {}
        self.n_rows = 0


class Memory:
    """Tables that have a row for each word type. Threads may share it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._current = Generation()

    def find(
        self, keys: Sequence[int], make: Callable[[Sequence[int]], Tables]
    ) -> tuple[Tables, Sequence[int]]:
        """Find the rows of types; make those that are missing, and remember them. When there is no
        room for them, all others are forgotten.

        keys (Sequence[int]): (types,) a number by which each type is known.
        make (Callable): Takes the indices of some types, and returns their rows: tables, (types,
            width) each.
        RETURNS (tuple[Tables, Sequence[int]]): Tables, and (types,) the row of each type in them.
        """
        generation, all_types = self._current, range(len(keys))
        missing: Sequence[int] = [i for i in all_types if keys[i] not in generation.rows]
        if generation.n_rows and generation.n_rows + len(missing) > len(generation.tables[0]):
            generation, missing = Generation(), all_types
        if missing:
            new = make(missing)
            if not self._add(generation, [keys[i] for i in missing], new):
                return new if len(missing) == len(keys) else make(all_types), all_types
        return generation.tables, [generation.rows[key] for key in keys]

    def _add(self, generation: Generation, keys: list[int], new: Tables) -> bool:
        """Add rows, unless there is no room, or another thread is about to add some. To wait for it
        might be forever, in a process that was forked while it did so.
        """
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if not generation.tables:
                capacity = MEMORY_SIZE // sum(4 * table.shape[1] for table in new)
                generation.tables = [t.new_empty(capacity, t.shape[1]) for t in new]
            begin, end = generation.n_rows, generation.n_rows + len(keys)
            if end > len(generation.tables[0]):
                return False
            for table, rows in zip(generation.tables, new, strict=True):
                table[begin:end] = rows
            generation.rows.update(zip(keys, range(begin, end), strict=True))
            generation.n_rows = end
            self._current = generation
            return True
        finally:
            self._lock.release()
