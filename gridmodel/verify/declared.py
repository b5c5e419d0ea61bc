"""The declared cost at given values: what the user's own expressions say, not the matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gridmodel.language.model import Model
from gridmodel.language.values import without_values

__all__ = ["declared_cost"]


def declared_cost(model: Model, variables: Mapping[str, Mapping[str, Any]]) -> float:
    """The sum of all declared costs at the variables' values; NaN where one of them is not defined there.

    The compiled cost counts auxiliary columns, which stand a little above what they bound until the answer is exact.

    Args:
        model: the declared model, its parameters with values.
        variables: {agent or fleet: {name: value}}.
    """
    parties = model.agents
    with without_values(v for party in parties for v in party.variables.values()):
        for party in parties:
            for name, variable in party.variables.items():
                variable.save_value(np.asarray(variables[party.name][name], dtype=np.float64).reshape(variable.shape))
        costs = [cost for party in parties for cost in party.costs] + model.costs
        values = [cost.expression.value for cost in costs]
    if any(value is None for value in values):
        return float("nan")
    return float(sum(np.sum(value) for value in values))
