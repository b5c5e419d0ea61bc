"""Many agents of one kind, declared in one stroke."""

from __future__ import annotations

from gridmodel.language.declared import AbstractParty, Owner

__all__ = ["Fleet"]


class Fleet(AbstractParty):
    """N agents of one kind: variables carry an axis of length N in front, a row each.

    Expressions are vectorised; a row may use only its own row of the fleet's variables.
    Made by ``model.fleet(name, N)``; the agent of row 17 is called ``name[17]``.
    """

    def __init__(self, name: str, size: int, owners: dict[int, Owner]) -> None:
        super().__init__(name, owners)
        self.size: int = size
