"""The shipped reconfiguration: against all spanning trees, all switch positions, and the central optimum."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.grid.feeder import Feeder
from gridmodel.physics.carriers import carriers, demand, nodes_of
from gridmodel.physics.reconfiguration import with_closed
from gridmodel.report.plot_sweep import draw_sweep
from gridmodel.sweep import loops, sweep
from models.reconfiguration import build, grid, tied

WEIGHTS = [0.0, 0.1, 0.3, 2.0]


def trees(net: Feeder) -> tuple[list[frozenset[str]], np.ndarray]:
    """All spanning trees of the grid by their losses in kW at the voltages of the mesh."""
    drawn = demand(net, nodes_of(net, carriers(net)), net.load_flow().volts).reshape(len(net.buses), 3)
    position = {bus.name: k for k, bus in enumerate(net.buses)}
    incidence = np.zeros((len(net.buses), len(net.lines)))
    for k, line in enumerate(net.lines):
        incidence[position[line.start.bus], k], incidence[position[line.end.bus], k] = 1.0, -1.0
    chosen = np.array(list(combinations(range(len(net.lines)), len(net.buses) - 1)))
    square = np.moveaxis(incidence[1:][:, chosen], 1, 0)
    spans = np.abs(np.linalg.det(square)) > 0.5
    chosen, square = chosen[spans], square[spans]
    xi = np.linalg.solve(square, np.broadcast_to(-drawn[1:], (len(square), *drawn[1:].shape)))
    r = np.stack([line.z.real for line in net.lines])[chosen]
    losses = np.einsum("tki,tkij,tkj->t", xi.conj(), r, xi).real / 1000
    order = np.argsort(losses)
    return [frozenset(net.lines[k].name for k in one) for one in chosen[order]], losses[order]


@pytest.mark.parametrize("seed", [0, 1, 29, 33])
def test_grid_goes_from_meshed_to_a_tree_near_the_best(seed: int) -> None:
    net = grid(seed)
    every, estimates = trees(net)
    assert len(every) == 2415
    found = sweep(net, WEIGHTS, most=2)
    counts = [one.loops for one in found]
    assert counts[0] == 6
    assert counts[-1] == 0
    assert any(0 < count < 6 for count in counts)
    best = found.best()
    truth = float(with_closed(net, every[0]).load_flow().losses.real) / 1000
    assert frozenset(best.closed) in every
    assert best.losses <= 1.01 * truth
    assert estimates[every.index(frozenset(best.closed))] == pytest.approx(best.losses, rel=0.03)


def test_larger_weights_open_more() -> None:
    found = sweep(grid(2), WEIGHTS, most=2)
    assert all(set(sooner.opened) <= set(later.opened) for sooner, later in pairwise(found))


def test_branch_exchange_improves_on_the_reweighted_lasso() -> None:
    net = grid(29)
    every, _ = trees(net)
    truth = float(with_closed(net, every[0]).load_flow().losses.real) / 1000
    plain, polished = (sweep(net, [2.0], polish=option).best() for option in (False, True))
    assert plain.losses > 1.1 * truth
    assert polished.losses <= 1.01 * truth


def test_plain_group_lasso_keeps_the_mesh() -> None:
    model = build("grid", weight=0.01)
    result = gm.solve(model, "central")
    lengths = np.array([np.linalg.norm(result[name]["xi"]) for name in (a.name for a in model.agents)])
    assert (lengths > 1e-3 * lengths.max()).sum() >= 16


@pytest.mark.parametrize(("feeder", "weight"), [("grid", 0.005), ("123Bus/IEEE123Master.dss", 0.01)])
def test_admm_finds_the_central_optimum(feeder: str, weight: float) -> None:
    model = build(feeder, weight)
    central, admm = gm.solve(model, "central"), gm.solve(model, "admm")
    assert admm.status is gm.Status.CERTIFIED
    assert admm.rounds <= 300
    assert admm.value == pytest.approx(central.value, rel=2e-4)


def test_ieee_123_opens_the_switches_of_least_losses() -> None:
    net = tied()
    assert loops(net) == 2
    names = [line.name for line in net.lines if line.switch]
    found = sweep(net, [0.0, 10.0], most=3)
    assert [one.kind for one in found] == ["meshed", "radial"]
    losses = {}
    for opened in combinations([name for name in names if name not in ("sw1", "sw6")], 2):
        other = with_closed(net, {line.name for line in net.lines} - {*opened, "sw6"})
        fed = nodes_of(other, carriers(other)).fed
        loads = {f"{load.terminal.bus}.{node}" for load in net.loads for node in load.terminal.nodes if node}
        if loops(other) == 0 and all(fed[net.position[node]] for node in loads):
            losses[frozenset(opened)] = float(other.load_flow().losses.real) / 1000
    assert len(losses) > 3
    best = found.best()
    assert best.losses <= 1.01 * min(losses.values())
    assert frozenset(best.opened) - {"sw6"} in losses


def test_picture(tmp_path: Path) -> None:
    path = tmp_path / "sweep.png"
    draw_sweep(sweep(grid(1), [0.0, 1.0], most=1), path)
    assert path.stat().st_size > 20_000
