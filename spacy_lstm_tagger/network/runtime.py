"""How training runs in PyTorch: in one thread, with gradients, in fp32, whatever the application
has set for its own work.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from threadpoolctl import ThreadpoolController


@contextmanager
def training(device_type: str = "cpu") -> Iterator[None]:
    """Compute with gradients, in fp32, in the calling thread: also inside `torch.no_grad`,
    `torch.inference_mode` or `torch.autocast`. The default dtype and device are not changed:
    modules name their dtype, and whatever makes a tensor names its device. (A device as a context
    would slow down each call of PyTorch.)

    device_type: The type of the network's device.
    """
    with (
        one_thread(),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device_type, enabled=False),
    ):
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Run PyTorch in the calling thread only.

    A time step is too little work to share. A second thread gains little on an idle machine, is
    several times slower on a busy one, and lets a forked process wait forever for threads that it
    doesn't have. To use more cores, share out texts: by `nlp.pipe(n_process=...)`, or in the
    application.

    The thread-local numbers of threads of OpenMP and MKL are set. So `torch.get_num_threads()`
    returns the same as before afterwards, and meanwhile in other threads. `torch.set_num_threads`
    would also change the number for threads that start meanwhile.
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
    """Return the function of PyTorch's own MKL that sets the calling thread's number of threads. It
    returns the number before: 0 if it was not set, and OpenMP's was used.
    """
    library = ctypes.CDLL(torch._C.__file__)  # also searches the libraries it depends on
    return getattr(library, "MKL_Set_Num_Threads_Local", lambda n_threads: 0)
