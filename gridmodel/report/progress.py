"""One line that tells how a long solve goes, on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Progress", "progress_line"]

Progress = Callable[[int, float, float | None], None]
"""Takes the rounds so far, the primal residual and the gap to the lower bound, where one is known."""


@contextmanager
def progress_line(what: str) -> Iterator[Progress | None]:
    """A callback that keeps one transient line up to date; None where output goes to a pipe or a file."""
    if not (sys.stdout.isatty() and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(escape(what)) as status:

        def show(rounds: int, primal: float, gap: float | None) -> None:
            bound = "" if gap is None else f", gap {gap:.1e}"
            status.update(escape(f"{what}: round {rounds}, residual {primal:.1e}{bound}"))

        yield show
