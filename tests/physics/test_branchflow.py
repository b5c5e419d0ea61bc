"""The branch-flow relaxation where lines have nearly no impedance, or turn angles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.grid.network import Network
from gridmodel.physics.opf import opf
from tests.physics.cases import shipped


def nearly_short(net: Network, factor: float, rate: float | None) -> Network:
    """The network with every third impedance made small, and all ratings replaced."""
    scale = np.where(np.arange(net.branches.x.size) % 3 == 0, factor, 1.0)
    branches = replace(net.branches, r=scale * net.branches.r, x=scale * net.branches.x)
    return replace(net, branches=branches if rate is None else replace(branches, rate_a=np.full(scale.size, rate)))


@pytest.mark.parametrize("rate", [None, 99999.0])
@pytest.mark.parametrize("factor", [1e-2, 1e-3])
@pytest.mark.parametrize("name", ["case14_ieee", "case30_ieee"])
def test_lines_of_nearly_no_impedance(name: str, factor: float, rate: float | None):
    net = nearly_short(shipped(name), factor, rate)
    one, other = (gm.solve(opf(net, form), "central") for form in ("soc", "branchflow"))
    assert one.status is other.status is gm.Status.CERTIFIED
    assert other.value == pytest.approx(one.value, rel=5e-6)


@pytest.mark.parametrize("shift", [15.0, -50.0, 100.0])
def test_limits_of_angles_across_a_phase_shifter(shift: float):
    net = shipped("case14_ieee")
    turned = net.branches.shift.copy()
    turned[0] = np.radians(shift)
    net = replace(net, branches=replace(net.branches, shift=turned, rate_a=np.full(turned.size, np.inf)))
    values = [gm.solve(opf(net, form), "central").value for form in ("soc", "branchflow")]
    assert values[1] == pytest.approx(values[0], rel=1e-5)
