"""DC optimal power flow in areas against a whole-network one by distribution factors, and PGLib's published values."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple, cast

import cvxpy as cp
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import linprog

import gridmodel as gm
from gridmodel.errors import BoundsError, ModelError
from gridmodel.grid.read import read_network
from gridmodel.ir.result import Result, Status
from gridmodel.language.model import Model
from gridmodel.language.price import price_sign
from gridmodel.physics.opf import opf
from gridmodel.physics.prices import bus_prices
from models.dc_opf import build
from tests.grid.case import THREE, changed, write

DATA = Path(__file__).parents[2] / "models" / "data"
Floats = NDArray[np.float64]
SHAPES = [(1, "midpoint"), (2, "midpoint"), (4, "midpoint"), (2, "angle"), (4, "angle")]


def name_of(case: str) -> str:
    return f"pglib_opf_case{case}.m"


def central(model: Model, solver: str = cp.HIGHS) -> Result:
    """Adds up what all agents declared and solves it as one problem."""
    costs = [cost.expression for party in model.agents for cost in party.costs]
    limits = {f"{party.name}.{limit.name}": limit.constraint for party in model.agents for limit in party.limits}
    couplings = {coupling.name: coupling.constraint for coupling in model.couplings}
    problem = cp.Problem(cp.Minimize(sum(costs)), [*limits.values(), *couplings.values()])
    problem.solve(solver=solver)
    assert problem.status == cp.OPTIMAL
    price = {}
    for name, constraint in {**limits, **couplings}.items():
        sign = price_sign(constraint)
        assert sign is not None
        price[name] = sign * np.asarray(constraint.dual_value)
    values = {party.name: {key: item.value for key, item in party.variables.items()} for party in model.agents}
    return Result(
        model.name, "central", Status.SOLVED, "", float(problem.value), values, price, {}, None, None, model=model
    )


def bounds(model: Model, agent: str, name: str) -> tuple[Floats, Floats]:
    """The bounds of a variable as cvxpy holds them."""
    lower, upper = cast("list[Floats]", model[agent].variables[name].attributes["bounds"])
    return lower, upper


class Factors(NamedTuple):
    """A DC network without angles: inequalities on the bus injections. rows: (limits, buses)."""

    cost: Floats
    constant: float
    at: Floats
    bounds: list[tuple[float, float]]
    load: Floats
    rows: Floats
    limit: Floats


def factors(text: str, susceptance: str) -> Factors:
    """Reads the tables of a PGLib case with linear costs, and eliminates the angles.

    flow = diag(w) (A theta - shift), A' flow = injection, hence theta = (A' diag(w) A)^+ (injection + A' w shift).
    """
    tables = {
        name: np.array([[float(x) for x in row.split()] for row in body.split(";") if row.split()])
        for name, body in re.findall(r"mpc\.(\w+) = \[(.*?)\];", re.sub(r"%.*", "", text), re.S)
    }
    bus, gen, cost, branch = (tables[name] for name in ("bus", "gen", "gencost", "branch"))
    assert (branch[:, 10] == 1).all()
    assert (cost[:, 4] == 0).all()
    on = gen[:, 7] == 1
    gen, cost = gen[on], cost[on]
    column = {number: k for k, number in enumerate(bus[:, 0])}
    ends = np.array([[column[i], column[j]] for i, j in branch[:, :2]])
    incidence = np.zeros((len(branch), len(bus)))
    incidence[np.arange(len(branch)), ends[:, 0]] = 1
    incidence[np.arange(len(branch)), ends[:, 1]] -= 1
    tap = np.where(branch[:, 8] == 0, 1, branch[:, 8])
    weight, shift = 100 / (branch[:, 3] * tap), np.radians(branch[:, 9])
    if susceptance == "pglib":
        weight, shift = 100 * branch[:, 3] / (branch[:, 2] ** 2 + branch[:, 3] ** 2), 0 * shift
    angle = np.linalg.pinv(incidence.T @ (weight[:, None] * incidence))
    turned = angle @ incidence.T @ (weight * shift)
    difference, offset = incidence @ angle, incidence @ turned
    flow, base = weight[:, None] * difference, weight * (offset - shift)
    widest = np.radians(branch[:, 11:13])
    rows = np.vstack([flow, -flow, difference, -difference])
    limit = np.concatenate([branch[:, 5] - base, branch[:, 5] + base, widest[:, 1] - offset, offset - widest[:, 0]])
    at = np.zeros((len(bus), len(gen)))
    at[[column[i] for i in gen[:, 0]], np.arange(len(gen))] = 1
    bounds = list(zip(gen[:, 9], gen[:, 8], strict=True))
    return Factors(cost[:, 5], float(cost[:, 6].sum()), at, bounds, bus[:, 2] + bus[:, 4], rows, limit)


def independent(case: Factors, extra: Floats | float = 0.0) -> tuple[float, Floats]:
    """The optimum and the price of every bus, of the linear programme in the outputs alone."""
    load = case.load + extra
    rows, limit = case.rows @ case.at, case.limit + case.rows @ load
    total = np.ones((1, case.cost.size))
    found = linprog(case.cost, rows, limit, total, [load.sum()], case.bounds, method="highs")
    assert found.status == 0
    # cost rises with the total by its marginal, and with the load at a bus as it moves every limit
    price = found.eqlin.marginals[0] + case.rows.T @ found.ineqlin.marginals
    assert found.fun is not None
    return float(found.fun) + case.constant, np.asarray(price)


@pytest.mark.parametrize("susceptance", ["matpower", "pglib"])
@pytest.mark.parametrize("case", ["5_pjm", "14_ieee", "30_ieee", "118_ieee"])
def test_same_optimum_as_without_areas(case: str, susceptance: str) -> None:
    value, price = independent(factors((DATA / name_of(case)).read_text(), susceptance))
    net = read_network(DATA / name_of(case))
    for areas, boundary in SHAPES:
        result = central(build(name_of(case), areas=areas, susceptance=susceptance, boundary=boundary))
        assert result.value == pytest.approx(value, rel=1e-8)
        found = bus_prices(result, net)
        assert list(found) == net.buses.number.tolist()
        np.testing.assert_allclose(list(found.values()), price, atol=1e-5)


@pytest.mark.parametrize(
    ("case", "published"),
    [("5_pjm", 17480), ("14_ieee", 2051.5), ("30_ieee", 7472.8), ("118_ieee", 93101)],
)
def test_published_values(case: str, published: float) -> None:
    # PGLib-OPF v23.07, BASELINE.md, typical operating conditions, column DC ($/h), five digits
    assert central(build(name_of(case), susceptance="pglib")).value == pytest.approx(published, rel=3e-5)


@pytest.mark.parametrize("case", ["5_pjm", "30_ieee"])
def test_prices_are_the_rise_of_the_cost(case: str) -> None:
    whole = factors((DATA / name_of(case)).read_text(), "matpower")
    result = central(build(name_of(case), areas=3))
    prices = list(bus_prices(result, read_network(DATA / name_of(case))).values())
    for k, price in enumerate(prices):
        step = 0.01 * np.eye(len(prices))[k]
        up = (independent(whole, step)[0] - result.value) / 0.01
        down = (result.value - independent(whole, -step)[0]) / 0.01
        assert down - 1e-4 <= price <= up + 1e-4  # the slopes on both sides of a kink enclose every price


def test_congestion_parts_the_prices() -> None:
    prices = set(np.round(list(independent(factors((DATA / name_of("118_ieee")).read_text(), "pglib"))[1]), 3))
    assert len(prices) > 50  # the comparison above is not one of equal numbers


APART = {10: "a", 20: "a", 30: "b"}  # the branch with tap and shift is a tie


@pytest.mark.parametrize("susceptance", ["matpower", "pglib"])
@pytest.mark.parametrize(
    ("areas", "boundary"), [(1, "midpoint"), (2, "midpoint"), (2, "angle"), (APART, "midpoint"), (APART, "angle")]
)
def test_taps_shifts_and_quadratic_costs_in_closed_form(
    tmp_path: Path, areas: int | dict[int, str | int], boundary: str, susceptance: str
) -> None:
    # no limit binds: all generators meet one price, lam = (D + sum b/2a) / sum 1/2a; the flows are those of B theta = p
    text = changed(
        ("0.2\t0\t90\t0\t0\t0\t0", "0.2\t0\t0\t0\t0\t0.9\t5"),
        ("\t60\t0", "\t0\t0"),
        ("0.1\t0\t90", "0.1\t0\t0"),
        ("20\t7;", "11\t7;"),
    )
    net = read_network(write(tmp_path, text))
    result = central(
        opf(net, "dc", areas, susceptance=susceptance, boundary=boundary, load_scale=1.2), solver=cp.CLARABEL
    )
    demand = np.array([0, 60, 120 + 2])
    lam = (demand.sum() + 10 / 0.02 + 11 / 0.04) / (1 / 0.02 + 1 / 0.04)
    p = np.array([(lam - 10) / 0.02, (lam - 11) / 0.04])
    assert 10 < p[1] < 120
    assert 0 < p[0] < 150
    assert result.value == pytest.approx(0.01 * p[0] ** 2 + 10 * p[0] + 5 + 0.02 * p[1] ** 2 + 11 * p[1] + 7, rel=1e-7)
    np.testing.assert_allclose(list(bus_prices(result, net).values()), lam, atol=1e-4)
    gain, shift = np.array([1000, 100 / (0.2 * 0.9), 1000]), np.radians([0, 5, 0])
    if susceptance == "pglib":
        gain, shift = 100 * np.array([0.1 / 0.0101, 0.2 / 0.0401, 0.1 / 0.0101]), np.zeros(3)
    incidence = np.array([[1, -1, 0], [1, 0, -1], [0, 1, -1]])
    inside = (incidence.T @ np.diag(gain) @ incidence)[1:, 1:]
    theta = np.linalg.solve(inside, ([p[0], p[1], 0] - demand + incidence.T @ (gain * shift))[1:])
    expected = gain * (incidence @ [0, *theta] - shift)
    flows = np.full(3, np.nan)
    layout = result.model.layout
    for area in layout.buses:
        for name, where in (("flow", layout.lines[area]), ("tie_flow", layout.ties[area])):
            if where.size:
                flows[where] = result[area][name]
    np.testing.assert_allclose(flows, expected, atol=1e-3)


@pytest.mark.parametrize("areas", [1, 2, 3])
def test_piecewise_costs(tmp_path: Path, areas: int) -> None:
    text = changed(
        ("2\t0\t0\t3\t0.01\t10\t5;", "1\t0\t0\t3\t0\t5\t60\t605\t150\t3305;"),
        ("2\t0\t0\t3\t0.02\t20\t7;", "1\t0\t0\t3\t10\t200\t40\t950\t120\t4150;"),
        ("\t60\t0", "\t0\t0"),
    )
    net = read_network(write(tmp_path, text))
    result = central(opf(net, areas=areas))
    # slopes 10, 30 and 25, 40: of 152 MW unit 1 takes 60 at 10, unit 2 10..40 at 25, unit 1 the rest at 30
    assert result.value == pytest.approx(605 + 52 * 30 + 950, rel=1e-9)
    np.testing.assert_allclose(list(bus_prices(result, net).values()), 30, atol=1e-7)


def test_angle_limits_become_flow_limits(tmp_path: Path) -> None:
    text = changed(("1\t-30\t30;\n\t20", "1\t-2\t3;\n\t20"), ("0.2\t0\t90\t0\t0\t0\t0", "0.2\t0\t90\t0\t0\t0\t1"))
    lower, upper = bounds(opf(read_network(write(tmp_path, text))), "area1", "flow")
    np.testing.assert_allclose(lower, [-60, 500 * np.radians(-3), -90])
    np.testing.assert_allclose(upper, [60, 500 * np.radians(2), 90])


def test_every_area_is_bounded_and_its_angle_bounds_cut_nothing_off() -> None:
    for boundary in ("midpoint", "angle"):
        model = build(areas=4, boundary=boundary)
        result = central(model)
        for party in model.agents:
            for key in ("theta", "tie_theta"):
                lower, upper = bounds(model, party.name, key)
                assert np.isfinite(lower).all()
                free = upper > 0
                assert (np.abs(result[party.name][key])[free] <= upper[free] / 2 + 1e-7).all()
    fixed = [np.flatnonzero(bounds(model, party.name, "theta")[1] == 0) for party in model.agents]
    numbers = [model.layout.buses[party.name][own] for party, own in zip(model.agents, fixed, strict=True)]
    assert np.concatenate(numbers).tolist() == [69]  # the reference bus of the file


def test_neighbours_agree_and_are_connected() -> None:
    model = build(areas=4)
    assert model.topology is not None
    assert model.topology.coordinator
    pairs = {frozenset(edge) for edge in model.topology.graph.edges}
    assert {coupling.name for coupling in model.couplings} == {
        f"{what} {'-'.join(sorted(pair))}" for pair in pairs for what in ("flow", "angle")
    }
    assert {coupling.unit for coupling in model.couplings} == {"MW", "rad"}
    assert build(areas=1).couplings == []
    assert len(build(areas=4, boundary="angle").couplings) == 2 * len(pairs)


@pytest.mark.parametrize(("case", "areas"), [("14_ieee", 2), ("30_ieee", 3), ("118_ieee", 4)])
def test_neighbours_alone_find_the_optimum_and_its_prices(case: str, areas: int) -> None:
    value, price = independent(factors((DATA / name_of(case)).read_text(), "matpower"))
    model = build(name_of(case), areas=areas, coordinator=False)
    assert model.topology is not None
    assert not model.topology.coordinator
    result = gm.solve(model, tolerance=1e-4)
    assert (result.algorithm, result.status) == ("admm", Status.CERTIFIED)
    assert result.certificate is not None
    assert result.certificate.central_value is None  # certified by the bound alone
    assert result.value == pytest.approx(value, rel=1e-4)
    found = bus_prices(result, read_network(DATA / name_of(case)))
    np.testing.assert_allclose(list(found.values()), price, atol=1e-2)  # $/MWh


def test_neighbours_alone_may_agree_on_angles_only() -> None:
    # Angles follow from each other up to a common shift: one penalty a row does not get there, a metric a pair does.
    model = build(name_of("30_ieee"), areas=3, boundary="angle", coordinator=False)
    result = gm.solve(model, tolerance=1e-4, max_rounds=100)
    assert result.status is Status.CERTIFIED
    assert result.value == pytest.approx(central(model).value, rel=1e-4)
    short = gm.solve(model, tolerance=1e-4, max_rounds=10)
    assert short.status is Status.STOPPED
    assert short.certificate is not None
    assert not short.certificate.holds


def test_areas_without_generators_or_lines(tmp_path: Path) -> None:
    net = read_network(write(tmp_path, THREE))
    whole = central(opf(net), solver=cp.CLARABEL).value
    model = opf(net, areas={10: "north", 20: "south", 30: "south"})
    assert list(model["north"].variables) == ["theta", "p", "tie_flow", "tie_theta"]
    model = opf(net, areas="file")
    assert list(model["area2"].variables) == ["theta", "tie_flow", "tie_theta"]
    assert central(model, solver=cp.CLARABEL).value == pytest.approx(whole, rel=1e-7)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"formulation": "dcx"}, "formulation='dcx' is not available; available: dc, ac"),
        ({"objective": "loss"}, "objective='loss' is not known to formulation 'dc'; available: cost"),
        ({"susceptance": "b"}, "susceptance='b' is not known; available: matpower, pglib"),
        ({"boundary": "edge"}, "boundary='edge' is not known to formulation 'dc'; available: midpoint, angle"),
        ({"load_scale": -1.0}, "load_scale=-1.0: expected a finite number of at least 0"),
        ({"areas": 9}, "from 1 to the number of buses, 3"),
    ],
)
def test_unknown_words(tmp_path: Path, options: dict[str, str], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        opf(read_network(write(tmp_path, THREE)), **options)  # type: ignore[arg-type]


def test_what_is_no_network_and_no_flow(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expects a Network, got str; read one: opf\(read_network\(path\)\)"):
        opf("case.m")  # type: ignore[arg-type]
    text = changed(("1\t-30\t30;\n\t20", "1\t20\t30;\n\t20"))
    with pytest.raises(BoundsError, match=r"branch 2 \(10-30\) of case\.m: the rating of 90 MVA .* no flow"):
        opf(read_network(write(tmp_path, text)))


def test_prices_of_another_model(tmp_path: Path) -> None:
    net = read_network(write(tmp_path, THREE))
    result = central(opf(net, areas=2), solver=cp.CLARABEL)
    with pytest.raises(ModelError, match=r"of case\.m, not of pglib_opf_case5_pjm\.m"):
        bus_prices(result, read_network(DATA / name_of("5_pjm")))
    result.price = {}
    with pytest.raises(ModelError, match=r"no price area1\.balance"):
        bus_prices(result, net)
    result.model = Model("other")
    with pytest.raises(ModelError, match="holds no network"):
        bus_prices(result, net)


def test_a_case_by_path_and_a_case_that_is_not_there(tmp_path: Path) -> None:
    assert [party.name for party in build(str(write(tmp_path, THREE)), areas=2).agents] == ["area1", "area2"]
    with pytest.raises(ModelError, match=r"nowhere\.m: cannot be read"):
        build("nowhere.m")
