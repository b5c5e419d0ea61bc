"""Optimal power flow decides reactive power; a volt-var droop would decide it too."""

from __future__ import annotations

from gridmodel.errors import ModelError
from gridmodel.grid.feeder import Feeder

__all__ = ["refuse_droops"]

_SHOWN = 3


def refuse_droops(feeder: Feeder, what: str) -> None:
    """Lets no feeder with volt-var droops into a model in which reactive power is a decision. what: that model.

    Raises:
        ModelError: a generator has a droop.
    """
    names = [f"{unit.kind} {unit.name}" for unit in feeder.generators if unit.droop is not None]
    if not names:
        return
    shown = ", ".join(names[:_SHOWN]) + (f", ... ({len(names)})" if len(names) > _SHOWN else "")
    raise ModelError(
        f"{feeder.name}: {shown} with a volt-var droop: {what} chooses reactive power within the inverter's rating, "
        "and cannot follow a droop as well. Leave the droops out, dataclasses.replace(feeder, generators=tuple("
        "dataclasses.replace(unit, droop=None) for unit in feeder.generators)), or keep them in feeder.load_flow(...), "
        "gm.linear_flow(feeder) and gm.flexibility(feeder, ...), which follow them."
    )
