"""Spares the cyclic garbage collector work that finds nothing, while much is read and soon forgotten."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS_BETWEEN = 50_000
"""New objects between two collections of the youngest; Python's own 700 makes a bulk load a fifth slower."""


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """What is there at the start (modules, mostly) is not looked through again, and collections are rarer.

    Reference counts free nearly everything that a pull makes; cycles are few. Applies to the whole process until the
    block ends; blocks must not overlap.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN, 20, 20)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
