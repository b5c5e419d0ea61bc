"""Cutting the tree, and ADMM between the parts."""

from __future__ import annotations

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.errors import ModelError
from gridmodel.physics.multiphase.areas import areas_of
from gridmodel.physics.multiphase.opf import feeder_model
from gridmodel.physics.multiphase.plan import plan_of
from gridmodel_solvers.admm import ADMM
from tests.physics.multiphase.feeders import OPTIONS, shipped, small


@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_areas_are_connected_and_cover_the_tree(count: int) -> None:
    plan = plan_of(shipped(37))
    found = areas_of(plan, count)
    assert sorted(bus for area in found for bus in area.buses) == list(range(len(plan.frames)))
    assert len(found) == count
    for area in found:
        inside = set(area.buses)
        assert all(plan.branches[bus - 1].parent in inside for bus in area.buses[1:])
    assert sum(len(area.cuts) for area in found) == count - 1


def test_given_areas() -> None:
    plan = plan_of(small())
    names = {"s": "up", "n1": "up", "n7": "side", "n8": "side", **{f"n{k}": "up" for k in range(2, 7)}}
    upper, side = areas_of(plan, names)
    assert (upper.name, side.name) == ("up", "side")
    assert side.upstream == plan.index["n1"]
    with pytest.raises(ModelError, match=r"'side' is in 2 pieces"):
        areas_of(plan, {**names, "n3": "side"})
    with pytest.raises(ModelError, match=r"e\.g\. n8"):
        areas_of(plan, {bus: name for bus, name in names.items() if bus != "n8"})
    with pytest.raises(ModelError, match="whole number"):
        areas_of(plan, 0)


def test_ieee37_in_five_areas_by_admm() -> None:
    feeder = shipped(37)
    whole = gm.solve(feeder_model(feeder, **OPTIONS[37]), "central").value
    model = feeder_model(feeder, areas=5, **OPTIONS[37])
    result = gm.solve(model, ADMM(rho=100.0, relaxation=1.0, memory=20), tolerance=1e-5, max_rounds=60)
    assert result.trace is not None
    near = (np.abs(result.trace.value / whole - 1) < 1e-4) & (result.trace.primal < 1e-4)
    assert result.trace.rounds[near].min() <= 50
