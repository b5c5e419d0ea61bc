"""What an algorithm says when one agent's own problem has no optimum."""

from __future__ import annotations

__all__ = ["LocalProblem"]

_SENTENCES = {
    "infeasible": "no point satisfies the limits of {label} alone",
    "unbounded": "the cost of {label} falls without end within its own limits",
    "unsolved": "the local problem of {label} could not be solved to the accuracy asked for",
}


class LocalProblem(Exception):
    """A block that has no optimum of its own.

    kind: "infeasible", "unbounded", or "unsolved" where the solver found neither.
    label: name of the block's agent.
    """

    def __init__(self, kind: str, label: str) -> None:
        super().__init__(_SENTENCES[kind].format(label=label) + ".")
        self.kind = kind
        self.label = label
