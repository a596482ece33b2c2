"""Creates many values at once without running the garbage collector."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_depth = 0
_was_enabled = False


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Disable the cyclic garbage collector in all threads until the block ends. Blocks may overlap.

    Use it for work that creates millions of long-lived values without cycles. There, the collector takes a quarter of
    the time and finds nothing.
    """
    global _depth, _was_enabled
    with _lock:
        if not _depth:
            _was_enabled = gc.isenabled()
            gc.disable()
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if not _depth and _was_enabled:
                gc.enable()
