"""Vectors in, the same vectors out: what prediction keeps from batch to batch."""

from threading import Lock

from torch import Tensor

MAX_REMEMBERED = 2**15  # word types; their vectors take some 25 MB


class Memory:
    """Vectors of word types, kept from batch to batch. Threads may share it; a copy is empty."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._table: tuple[dict[int, int], Tensor | None] = ({}, None)
        self._n_rows = 0

    def recall(self, keys: list[int]) -> tuple[list[int], Tensor | None]:
        """Return the row of each key in a table of vectors, -1 for what isn't there; and the
        table, if there is one.
        """
        rows, table = self._table
        return [rows.get(key, -1) for key in keys], table

    def add(self, keys: list[int], vectors: Tensor) -> None:
        """Remember vectors, unless another thread is about to do so. When there is no room for
        them, all others are forgotten.

        keys (list[int]): No more than `MAX_REMEMBERED`.
        vectors (Tensor): (keys, width)
        """
        if not self._lock.acquire(blocking=False):
            return  # to wait might be forever, in a process forked from one that was adding
        try:
            rows, table = self._table
            if table is None or self._n_rows + len(keys) > MAX_REMEMBERED:
                rows, table = {}, vectors.new_empty(MAX_REMEMBERED, vectors.shape[1])
                self._n_rows = 0
            end = self._n_rows + len(keys)
            table[self._n_rows : end] = vectors
            rows.update(zip(keys, range(self._n_rows, end), strict=True))
            self._n_rows = end
            self._table = rows, table
        finally:
            self._lock.release()

    def __reduce__(self) -> tuple[type["Memory"], tuple[()]]:
        return Memory, ()
