"""The fixed point on random feeders against Newton over nodes, in dense and sparse form, one by one and in batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridmodel.grid.assemble import assemble
from gridmodel.grid.flow.forms import form_of, injections_of
from gridmodel.grid.flow.newton import newton as newton_at_ports
from gridmodel.grid.flow.port_form import port_form
from gridmodel.grid.flow.solve import BLOCK, solve
from gridmodel.grid.newton import newton
from gridmodel.grid.ports import ports
from tests.grid.flow.feeders import random_feeder

FACTORS = np.array([0.0, 0.5, 1.0, 1.5])


@given(seed=st.integers(0, 10_000), buses=st.integers(2, 8), limits=st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_fixed_point_is_newtons_solution(seed: int, buses: int, limits: bool) -> None:
    net = random_feeder(seed, buses, limits=limits)
    flow = net.load_flow(loads=FACTORS, tolerance=1e-12)
    own, phases = ports(net).s, sum(load.phases for load in net.loads)
    for k, factor in enumerate(FACTORS):
        s = np.concatenate([factor * own[:phases], own[phases:]])
        truth = newton(net, s, start=None if not limits else flow.volts[k])
        assert truth.converged
        assert flow.converged[k]
        assert np.abs(truth.v / net.base - flow.v[k]).max() < 1e-9


@given(seed=st.integers(0, 10_000), limits=st.booleans())
@settings(max_examples=15, deadline=None)
def test_sparse_and_dense_form_agree(seed: int, limits: bool) -> None:
    net = random_feeder(seed, limits=limits)
    sparse, dense = port_form(assemble(net), injections_of(net), dense=0), form_of(net)
    assert sparse.K is None
    s = dense.injections.at_ports(FACTORS[:, None] * np.array([*(one.s for one in net.loads), -1e4]))
    ends = [form.nodes(solve(form, s, 1e-12).points.i) / net.base for form in (sparse, dense)]
    assert np.abs(ends[0] - ends[1]).max() < 1e-10


@pytest.mark.parametrize("seed", range(5))
def test_newton_at_the_ports_solves_the_same_in_both_forms(seed: int) -> None:
    net = random_feeder(seed)
    flow = net.load_flow(loads=FACTORS, tolerance=1e-12)
    for form in (port_form(assemble(net), injections_of(net), dense=0), form_of(net)):
        found = newton_at_ports(form, form.injections.at_ports(flow.s), 1e-12)
        assert found.converged.all()
        assert found.iterations.max() < 10
        assert np.abs(form.nodes(found.i) / net.base - flow.v).max() < 1e-9


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_currents_into_all_nodes_add_up_to_zero(seed: int) -> None:
    net = random_feeder(seed)
    flow = net.load_flow(tolerance=1e-12)
    system, own = assemble(net), ports(net)
    u = np.abs(own.incidence @ flow.volts) / own.v
    p = own.s.real * (own.zip_p @ np.array([u**2, u, u**0])).diagonal()
    q = own.s.imag * (own.zip_q @ np.array([u**2, u, u**0])).diagonal()
    drawn = ((p + 1j * q) / (own.incidence @ flow.volts)).conj()
    left = system.Y @ flow.volts - system.source + own.incidence.T @ drawn
    assert np.abs(left).max() < 1e-4
    assert flow.drawn == pytest.approx(complex((p + 1j * q).sum()), rel=1e-9)


def test_ports_of_equal_nodes_and_law_are_one() -> None:
    net = random_feeder(0)
    assert injections_of(net).size < len(ports(net).names)
    assert injections_of(net).merged.s.sum() == pytest.approx(ports(net).s.sum())


def test_a_scenario_does_not_depend_on_its_neighbours() -> None:
    net = random_feeder(3, limits=True)
    factors = np.linspace(0.0, 2.0, BLOCK + 40)
    many = net.load_flow(loads=factors, tolerance=1e-11)
    assert many.v.shape[0] == factors.size
    for k in (0, 100, BLOCK - 1, BLOCK, BLOCK + 39):
        alone = net.load_flow(loads=float(factors[k]), tolerance=1e-11)
        assert np.abs(alone.v - many.v[k]).max() < 1e-10


def test_a_failed_scenario_leaves_the_others_alone() -> None:
    net = random_feeder(1)
    flow = net.load_flow(loads=np.array([1.0, 500.0, 1.2]))
    assert flow.converged.tolist() == [True, False, True]
    assert np.isnan(flow.v[1]).all()
    assert np.abs(flow.v[2] - net.load_flow(loads=1.2).v).max() < 1e-12


@given(seed=st.integers(0, 10_000), factor=st.floats(0.2, 6.0))
@settings(max_examples=25, deadline=None)
def test_a_certified_solution_lies_in_its_ball(seed: int, factor: float) -> None:
    net = random_feeder(seed)
    flow = net.load_flow(loads=factor, tolerance=1e-11)
    certificate, form = flow.certificate, form_of(net)
    if certificate.holds:
        assert flow.converged
        v = form.injections.merged.incidence @ flow.volts / form.injections.merged.v
        assert np.abs((v - form.b) / form.b).max() <= certificate.radius + 1e-9
    else:
        assert np.isnan(certificate.radius)
