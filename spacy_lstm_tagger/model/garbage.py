"""Python's garbage collection, on or off as the application wants it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_unchanged() -> Iterator[None]:
    """Leave garbage collection on or off, as it is. srsly switches it off while it reads msgpack,
    and on again afterwards; but where it raises, it leaves it off for the whole process.
    """
    is_on = gc.isenabled()
    try:
        yield
    finally:
        (gc.enable if is_on else gc.disable)()
