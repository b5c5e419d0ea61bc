"""Inequalities of products of voltages that hold at every voltage within limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.physics.opf import opf
from gridmodel.physics.products import lifted_cuts
from tests.physics.cases import shipped


def test_lifted_cuts_hold_at_all_voltages_and_are_met_at_corners():
    net = shipped("case14_ieee")
    rng = np.random.default_rng(0)
    count = 2000
    i, j = rng.integers(0, 14, (2, count))
    low = rng.uniform(-1.4, 1.2, count)
    high = low + rng.uniform(0.01, 0.2, count)
    ends = [net.buses.v_min, net.buses.v_max]
    met = []
    for corner in (False, True):
        pick = rng.integers(0, 2, (3, count)) if corner else rng.uniform(0, 1, (3, count))
        first, second = ((1 - t) * ends[0][k] + t * ends[1][k] for t, k in ((pick[0], i), (pick[1], j)))
        product = first * second * np.exp(1j * ((1 - pick[2]) * low + pick[2] * high))
        slack = [
            on_c * product.real + on_s * product.imag + on_i * first**2 + on_j * second**2 - least
            for on_c, on_s, on_i, on_j, least in lifted_cuts(net, i, j, low, high)
        ]
        assert np.min(slack) >= -1e-12
        met.append(np.min(slack, axis=0))
    equal = pick[0] == pick[1]  # both voltages at their lower or upper limits, the angle at one of its own
    np.testing.assert_allclose(met[1][equal], 0.0, atol=1e-12)


@pytest.mark.parametrize("areas", [1, 3])
def test_narrow_angles_tighten_all_relaxations_alike(areas: int):
    """The exact optimum stays above, as the cuts hold there."""
    net = shipped("case30_ieee")
    exact = gm.solve(opf(net, "ac"), "central")
    theta = exact["area1"]["theta"]
    apart = np.abs(theta[net.branches.start] - theta[net.branches.end]).max()
    tight = np.full(net.branches.x.size, 0.7 * apart)
    net = replace(net, branches=replace(net.branches, angle_min=-tight, angle_max=tight))
    best = gm.solve(opf(net, "ac"), "central").value
    soc, flow, sdp = (gm.solve(opf(net, name, areas=areas), "central").value for name in ("soc", "branchflow", "sdp"))
    assert flow == pytest.approx(soc, rel=1e-6)
    assert soc <= sdp * (1 + 1e-7) <= best * (1 + 2e-7)
