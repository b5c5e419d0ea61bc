"""How many processors torch shares single operations among. Needs torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["threads"]


@contextmanager
def threads(count: int = 1) -> Iterator[None]:
    """So many within, as before afterwards.

    Threads that share the short operations of small networks wait for each other in each of them: hardly faster where
    nothing else runs, and many times slower where something does.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
