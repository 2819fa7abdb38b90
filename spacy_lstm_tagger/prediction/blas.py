"""How NumPy multiplies matrices: in the calling thread alone, and few rows one by one."""

import os
from collections.abc import Callable
from functools import cache
from threading import Lock
from typing import Any

import numpy
from threadpoolctl import ThreadpoolController

from .inputs import Floats3d

# OpenBLAS has kernels for small matrices on these processors; on others a product of a few rows
# takes several times as long as the same rows one by one.
WITH_SMALL_KERNELS = ("SkylakeX", "Cooperlake", "Sapphirerapids")
FEW_ROWS = 6


class Library:
    """An OpenBLAS whose threads are its own. Since version 3.8, threadpoolctl lets a single thread
    of a process set their number, and silently ignores the others; so its functions are called
    here.

    architecture: The processor that it found.
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
    """Return the OpenBLAS that NumPy calls; none if it calls another library."""
    found = ThreadpoolController().select(internal_api="openblas").lib_controllers
    own = [library for library in found if "numpy" in library.filepath] or found
    return [Library(library) for library in own if library.threading_layer == "pthreads"]


@cache
def _few_rows() -> int:
    libraries = _libraries()
    names = {library.architecture.lower() for library in libraries}
    has_small_kernels = not names or names & {name.lower() for name in WITH_SMALL_KERNELS}
    return 1 if has_small_kernels else FEW_ROWS


def multiply(rows: Floats3d, weights: Floats3d, out: Floats3d) -> None:
    """Multiply a few or many rows with weights, in a stack of such products.

    rows (Floats3d): (stack, rows, width).
    weights (Floats3d): (stack, width, output_width).
    out (Floats3d): (stack, rows, output_width), overwritten.
    """
    if 1 < rows.shape[1] <= _few_rows():
        numpy.matmul(rows[:, :, None], weights[:, None], out=out[:, :, None])
    else:
        numpy.matmul(rows, weights, out=out)


class OneThread:
    """A context in which NumPy's products keep to the calling thread.

    OpenBLAS shares out larger products among threads. That gains nothing here, as time steps are
    too little work to share, and where other cores are busy it takes several times as long. The
    number of threads holds for the whole process. So the first thread that enters sets it to 1, and
    the last one that leaves restores it, also after an exception and in a forked process. The
    number of torch's threads is another setting.

    Meanwhile, large products of the application take one thread, too. A number above 1 that the
    application sets meanwhile stays. Two things can't be told: that it has set 1; and that a
    `threadpool_limits` of its own, which began meanwhile, will restore 1 when it ends.
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
        """In a forked process, no other thread is left that could leave or release the lock."""
        if self._n_users:
            self._restore()
        self._forget()


one_thread = OneThread()
