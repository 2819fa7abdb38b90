"""How PyTorch shares the processor with the rest of the application."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from threadpoolctl import ThreadpoolController


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep PyTorch to the calling thread.

    Time steps are too little work to share. A second thread gains little on an idle machine, makes
    a busy one several times slower, and lets a forked process wait forever for threads that it
    doesn't have. To use more cores, share out texts: by `nlp.pipe(n_process=...)`, or in the
    application.

    The number of threads of OpenMP and MKL is set, which each thread has for itself. So
    `torch.get_num_threads()` says the same as before afterwards, and meanwhile in other threads;
    `torch.set_num_threads` would change what threads get that begin meanwhile.
    """
    torch.get_num_threads()  # with its first call, a thread gets the number that PyTorch has
    libraries, set_mkl = _openmp_libraries(), _mkl_setter()
    before = [library.omp_get_max_threads() for library in libraries]
    mkl_before = set_mkl(1)
    try:
        for library in libraries:
            library.omp_set_num_threads(1)
        yield
    finally:
        set_mkl(mkl_before)
        for library, n_threads in zip(libraries, before, strict=True):
            library.omp_set_num_threads(n_threads)


@cache
def _openmp_libraries() -> list[Any]:
    found = ThreadpoolController().select(user_api="openmp").lib_controllers
    return [library.dynlib for library in found]


@cache
def _mkl_setter() -> Callable[[int], int]:
    """Return the function of PyTorch's own MKL that sets the calling thread's number, and returns
    the one before: 0 if there was none, and OpenMP's is taken.
    """
    library = ctypes.CDLL(torch._C.__file__)  # finds what the library depends on, too
    return getattr(library, "MKL_Set_Num_Threads_Local", lambda n_threads: 0)
