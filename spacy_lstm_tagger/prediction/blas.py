"""Matrix products by OpenBLAS: in one thread, and row by row where that is faster."""

import os
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

import numpy
from threadpoolctl import ThreadpoolController

from .types import Floats3d, Floats4d

# OpenBLAS has kernels for small matrices on these processors. On others, a product of a few rows
# takes several times as long as multiplying row by row.
WITH_SMALL_KERNELS = ("SkylakeX", "Cooperlake", "Sapphirerapids")
FEW_ROWS = 6


class Library:
    """An OpenBLAS with threads of its own. Its functions are called here directly, since
    threadpoolctl 3.8 lets only one thread of a process set the number, and ignores the others.

    architecture: The processor that OpenBLAS detected.
    """

    def __init__(self, found: Any):
        """found: threadpoolctl's controller of the library."""
        name = next(name for name in found.check_symbols if hasattr(found.dynlib, name))
        self.get_num_threads: Callable[[], int] = getattr(found.dynlib, name)
        self.set_num_threads: Callable[[int], Any] = getattr(
            found.dynlib, name.replace("get_num", "set_num")
        )
        self.architecture = str(found.architecture)


@cache
def _libraries() -> list[Library]:
    """Return the OpenBLAS that NumPy calls; none if NumPy uses another library."""
    found = ThreadpoolController().select(internal_api="openblas").lib_controllers
    own = [library for library in found if "numpy" in library.filepath] or found
    return [Library(library) for library in own if library.threading_layer == "pthreads"]


@cache
def _few_rows() -> int:
    libraries = _libraries()
    names = {library.architecture.lower() for library in libraries}
    has_small_kernels = not names or names & {name.lower() for name in WITH_SMALL_KERNELS}
    return 1 if has_small_kernels else FEW_ROWS


def multiply(rows: Floats3d, weights: Floats4d, out: Floats4d) -> None:
    """Multiply rows with weights, for a stack of such products.

    rows (Floats3d): (stack, rows, width).
    weights (Floats4d): (repeats, stack, width, output_width) with which the rows are multiplied.
    out (Floats4d): (repeats, stack, rows, output_width), overwritten.
    """
    if 1 < rows.shape[1] <= _few_rows():
        numpy.matmul(rows[:, :, None], weights[:, :, None], out=out[:, :, :, None])
    else:
        numpy.matmul(rows, weights, out=out)


class OneThread:
    """A context in which NumPy's matrix products run in the calling thread.

    OpenBLAS splits larger products among threads. Here that gains nothing, since a time step is
    too little work, and it is several times slower when other cores are busy. The number of
    threads is a setting of the whole process. So the first thread that enters sets it to 1, and
    the last one that leaves restores it, also after an exception and in a forked process. PyTorch
    has a setting of its own, which is not touched.

    While a thread is in the context, large products of the application run in one thread, too. If
    the application sets a number above 1 meanwhile, it is kept. Two cases can't be detected: the
    application sets 1 meanwhile; or a `threadpool_limits` that it entered meanwhile restores 1.
    """

    _before: list[int]

    def __init__(self) -> None:
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._leave_all)

    def __enter__(self) -> None:
        with self._lock:
            if not self._n_users:
                self._before = [library.get_num_threads() for library in _libraries()]
                for library, before in zip(_libraries(), self._before, strict=True):
                    if before != 1:
                        library.set_num_threads(1)
            self._n_users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._n_users -= 1
            if not self._n_users:
                self._restore()

    def _restore(self) -> None:
        for library, before in zip(_libraries(), self._before, strict=True):
            if before != 1 and library.get_num_threads() == 1:
                library.set_num_threads(before)

    def _forget(self) -> None:
        self._lock = Lock()
        self._n_users = 0
        self._before = []

    def _leave_all(self) -> None:
        """Reset in a forked process, where no other thread is left to release the lock."""
        if self._n_users:
            self._restore()
        self._forget()


one_thread = OneThread()
