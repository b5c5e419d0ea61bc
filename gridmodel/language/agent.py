"""A single agent."""

from __future__ import annotations

from gridmodel.language.declared import AbstractParty, Owner

__all__ = ["Agent"]


class Agent(AbstractParty):
    """One owner of variables with its own cost and limits; made by ``model.agent(name)``."""

    def __init__(self, name: str, owners: dict[int, Owner]) -> None:
        super().__init__(name, owners)
        self.size = None
