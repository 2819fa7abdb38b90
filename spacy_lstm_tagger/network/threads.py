"""How torch shares the processor with the rest of the application."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to the calling thread.

    Time steps are too small a work to share: a second thread gains little on an idle machine,
    costs a multiple on a busy one, and makes a forked process wait forever for threads that it
    doesn't have. Texts are what is shared, by `nlp.pipe(n_process=...)` or the application.
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
