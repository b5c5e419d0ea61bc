"""Schedules over a run."""

from __future__ import annotations

import math

__all__ = ["falling"]


def falling(start: float, share: float, progress: float) -> float:
    """From ``start`` to ``share`` of it by half a cosine; progress: share of the run that is over."""
    return start * (share + (1.0 - share) * 0.5 * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0))))
