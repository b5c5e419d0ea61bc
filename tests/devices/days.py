"""Days of one kind of device: what a central solver makes of them, and what they do without a policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

import gridmodel as gm
from gridmodel.ir.scenarios import Scenarios
from gridmodel.ir.training import Leaf
from gridmodel.language.horizon import Horizon
from gridmodel.passes.training.graph import training_graph

Floats = NDArray[np.float64]


def horizon(steps: int, hours: float = 1.0, size: int | None = 2) -> tuple[gm.Model, Horizon]:
    """A model with one fleet, or one agent, and its horizon."""
    model = gm.Model("day")
    party = model.agent("it") if size is None else model.fleet("it", size)
    return model, party.horizon(steps, hours)


def optimum(model: gm.Model) -> tuple[float, gm.Result]:
    """Cost and result of the convex program."""
    result = gm.solve(model, "central")
    assert result.value is not None
    return result.value, result


def without_policy(model: gm.Model, series: Mapping[str, Any]) -> tuple[Floats, dict[tuple[str, str], Floats]]:
    """Cost of each agent, and leaves by (sort, name) with the steps as last axis, on one day without policies."""
    import torch

    from gridmodel.runtime.environment import Environment

    days = Scenarios({name: np.asarray(values, dtype=np.float64)[None] for name, values in series.items()})
    env = Environment(training_graph(model, days), torch.float64)
    course = env.baseline(env.batch(days)).courses[0]
    leaves: Mapping[Leaf, Any] = course.leaves
    return course.cost.sum(dim=(0, 1)).numpy(), {
        (leaf.sort, leaf.name): values[:, 0].numpy().T for leaf, values in leaves.items()
    }
