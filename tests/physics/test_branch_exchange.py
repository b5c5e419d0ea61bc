"""What opening lines costs, against the central optimum without their currents; branch exchange against all sets."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest

import gridmodel as gm
from gridmodel.grid.elements import Generator, Terminal
from gridmodel.grid.feeder import Feeder
from gridmodel.physics.branch_exchange import Feeds, exchanged, openings
from gridmodel.physics.reconfiguration import reconfiguration
from gridmodel.verify.central import solve_central
from models.reconfiguration import grid, tied


def central(feeder: Feeder, opened: tuple[str, ...]) -> float:
    """The least losses in kW with no current in these lines."""
    model = reconfiguration(feeder)
    for name in opened:
        model[f"line {name}"].subject_to(model[f"line {name}"]["xi"] == 0)
    return float(solve_central(model).value)


@pytest.mark.parametrize(
    ("feeder", "sets"),
    [
        (grid(0), [(), ("01-11", "02-12", "12-22")]),
        (tied(), [("sw6", "sw5"), ("sw6", "sw2", "sw5")]),
    ],
    ids=["grid", "IEEE 123"],
)
def test_losses_without_some_currents(feeder: Feeder, sets: list[tuple[str, ...]]) -> None:
    costs = openings(reconfiguration(feeder).layout, {}, 0.1)
    for opened in sets:
        over, losses = costs.score(frozenset(opened), 0.0)
        assert over == 0.0
        assert losses == pytest.approx(central(feeder, opened), rel=1e-5)
        for last in opened:
            one_more, _ = costs.each(frozenset(opened) - {last})
            assert one_more[costs.names.index(last)] == pytest.approx(losses, rel=1e-6)


def test_no_way_is_left() -> None:
    costs = openings(reconfiguration(grid(0)).layout, {}, 0.1)
    at_the_source = frozenset({"00-01", "00-10"})
    assert costs.score(at_the_source, 1.0)[1] == np.inf
    assert costs.each(frozenset({"00-01"}))[0][costs.names.index("00-10")] == np.inf
    assert not Feeds(grid(0))(at_the_source)
    assert Feeds(grid(0)).mended(["00-10", "00-01"]) == {"00-01"}


def test_a_generator_injects_what_it_is_given() -> None:
    feeder = grid(0)
    unit = Generator("g", Terminal("23", (1, 2, 3)), 3, "wye", 0j, 2401.8, p_max=1e5,
                     attributes={"q_min": 0.0, "q_max": 0.0})  # fmt: skip
    with_unit = Feeder(feeder.name, feeder.frequency, feeder.buses, feeder.sources, feeder.lines, loads=feeder.loads,
                       generators=(unit,))  # fmt: skip
    layout = reconfiguration(with_unit).layout
    result = gm.solve(reconfiguration(with_unit), "central", tolerance=1e-7)
    p, q = result["generator g"]["power"]
    assert p > 50
    costs = openings(layout, {"g": 1000 * complex(p, q)}, 0.1)
    assert costs.losses == pytest.approx(result.value, rel=1e-5)


@pytest.mark.parametrize("weight", [0.1, 0.5, 3.0])
def test_exchange_from_the_mesh_against_all_sets_of_six_lines(weight: float) -> None:
    """On these few lines branch exchange ends within 2 % of the best of all 64 sets."""
    lines = ["01-11", "02-12", "11-21", "12-22", "03-13", "20-21"]
    feeder = grid(3)
    costs = openings(reconfiguration(feeder, switchable=lines).layout, {}, 0.1)
    feeds = Feeds(feeder)
    every = chain.from_iterable(combinations(lines, count) for count in range(7))
    best = min(costs.score(frozenset(opened), weight) for opened in every)
    found = exchanged(costs, frozenset(), weight, feeds)
    assert feeds(found)
    assert costs.score(found, weight)[1] <= 1.02 * best[1]
    among = frozenset(lines[:2])
    assert exchanged(costs, frozenset(), weight, feeds, among) <= among
