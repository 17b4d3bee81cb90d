"""Callers beside a measurement, each on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def calling(work: Callable[[threading.Event], None], callers: int) -> Iterator[None]:
    """Runs `work` on so many threads during the block; it ends once the event that it is given is set."""
    over = threading.Event()
    threads = [threading.Thread(target=work, args=(over,)) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
