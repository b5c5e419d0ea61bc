"""Claims of the push methods and of ADMM over edges, on the reference problem."""

from __future__ import annotations

import pytest

from gridmodel.ir.claim import FAULTS
from gridmodel.runtime.channel import Channel
from gridmodel_solvers.agreement.edge_admm import EdgeADMM
from gridmodel_solvers.agreement.push_diging import PushDIGing
from gridmodel_solvers.agreement.push_pull import PushPull
from gridmodel_solvers.agreement.push_sum import PushSum
from gridmodel_solvers.agreement.relaxed_admm import RelaxedADMM
from tests.solvers.reference import agreement, error

CHANNELS = {
    "ideal": {}, "drop": {"drop": 0.3}, "burst": {"drop": 0.3, "burst": 5.0}, "delay": {"delay": 5},
    "outage": {"outages": {"n3": (200, 300)}}, "noise": {"noise": 1e-3}, "bits": {"bits": 8}, "async": {"awake": 0.5},
}  # fmt: skip


def ends(algorithm, fault, rounds, **options):
    one = algorithm(channel=Channel(**CHANNELS[fault]), **options)
    problem, optimum = agreement(0, directed=algorithm in (PushPull, PushDIGing, PushSum))
    return error(one, problem, optimum, rounds)


@pytest.mark.parametrize("algorithm", [EdgeADMM, RelaxedADMM, PushPull, PushDIGing, PushSum])
def test_every_fault_has_a_claim(algorithm):
    assert tuple(algorithm.claims) == FAULTS


@pytest.mark.parametrize("fault", ["ideal", "drop", "burst", "delay", "outage", "async"])
@pytest.mark.parametrize("algorithm", [EdgeADMM, RelaxedADMM])
def test_admm_over_edges_is_exact_with_the_chosen_penalty(algorithm, fault):
    assert algorithm.claims[fault].exact
    assert ends(algorithm, fault, 4000 if fault == "delay" else 2000) < 1e-9


@pytest.mark.parametrize(("algorithm", "fault", "options"), [
    (EdgeADMM, "noise", {"rho": 0.1}), (EdgeADMM, "bits", {"rho": 0.1}),
    (RelaxedADMM, "noise", {"rho": 0.1}), (RelaxedADMM, "bits", {"rho": 0.1}),
    (PushPull, "noise", {"eta": 0.02}), (PushPull, "bits", {"eta": 0.02}), (PushSum, "ideal", {"eta": 0.05}),
])  # fmt: skip
def test_errors_are_as_large_as_claimed(algorithm, fault, options):
    low, high = algorithm.claims[fault].error
    assert 0.8 * low < ends(algorithm, fault, 3000, **options) < 1.2 * high


@pytest.mark.parametrize(("algorithm", "options"), [(PushPull, {"eta": 0.01}), (PushDIGing, {"eta": 0.01})])
def test_tracking_over_directed_edges_is_exact(algorithm, options):
    assert algorithm.claims["ideal"].exact
    assert ends(algorithm, "ideal", 3000, **options) < 1e-9


@pytest.mark.parametrize(("algorithm", "fault", "eta"), [
    (PushDIGing, "burst", 1e-3), (PushSum, "drop", 0.05), (PushSum, "delay", 0.05), (PushSum, "async", 0.05),
])  # fmt: skip
def test_division_by_tiny_masses_diverges(algorithm, fault, eta):
    one = algorithm(eta=eta, channel=Channel(**CHANNELS[fault]))
    assert algorithm.claims[fault].outcome == "diverges"
    state, largest = one.init(agreement(0, directed=True)[0], None, 1e-8), 0.0
    for _ in range(3000):
        state = one.step(state)
        largest = abs(one.shown(state)).max()
        if largest > 1e8:
            break
    assert largest > 1e8
