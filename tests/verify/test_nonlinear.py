"""Stationary points of small smooth models against closed forms and finite differences."""

from __future__ import annotations

import stat
import sys
from collections.abc import Callable
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
from cvxpy.nlp import cos, sin

import gridmodel as gm
from gridmodel.errors import CurvatureError, DataError, ModelError
from gridmodel.verify.central import Central, solve_central


def rectangle(area: float) -> gm.Model:
    """The smallest sum of the sides of a rectangle: 2 sqrt(area), its price 1 / sqrt(area)."""
    model = gm.Model("rectangle", convex=False)
    agent = model.agent("a")
    x, y = agent.variable("x", bounds=(0.1, 20)), agent.variable("y", bounds=(0.1, 20))
    agent.minimize(x + y)
    agent.subject_to(cp.multiply(x, y) == area, name="area")
    return model


def test_a_rectangle() -> None:
    found = solve_central(rectangle(4.0))
    assert (found.status, found.solved) == ("stationary", True)
    assert found.solver.startswith("IPOPT")
    assert found.value == pytest.approx(4.0, abs=1e-7)
    assert found.variables["a"]["x"] == pytest.approx(2.0, abs=1e-6)
    assert found.price["a.area"] == pytest.approx(0.5, abs=1e-7)
    assert found.dual["a.area"] == pytest.approx(-0.5, abs=1e-7)
    assert found.local_residual < 1e-9


Build = Callable[[cp.Variable, float], cp.Constraint]
# x has two entries and wants to be far out; every form holds |x|^2 or x1 x2 at b
FORMS: dict[str, Build] = {
    "equal, right": lambda x, b: cp.multiply(x[0], x[1]) == b,
    "equal, left": lambda x, b: b == cp.multiply(x[0], x[1]),
    "at most, right": lambda x, b: cp.multiply(x[0], x[1]) <= b,
    "at least, left": lambda x, b: b >= cp.multiply(x[0], x[1]),
    "sum of squares": lambda x, b: cp.sum_squares(x) <= b,
    "sine": lambda x, b: sin(x[0] / 5) + x[1] <= b,
}


@pytest.mark.parametrize("form", FORMS)
def test_prices_are_finite_differences(form: str) -> None:
    def solved(b: float) -> Central:
        model = gm.Model("form", convex=False)
        agent = model.agent("a")
        x = agent.variable("x", 2, bounds=(0.1, 4))
        agent.minimize(-x[0] - 2 * x[1] + cp.multiply(x[0], x[1]) / 9)
        agent.subject_to(FORMS[form](x, b), name="limit")
        found = solve_central(model)
        assert found.status == "stationary"
        return found

    middle, step = solved(3.0), 1e-3
    slope = (solved(3.0 + step).value - solved(3.0 - step).value) / (2 * step)
    assert abs(slope) > 0.1
    assert middle.price["a.limit"] == pytest.approx(slope, abs=1e-5)


def test_a_coupling_of_many_rows_is_priced_row_by_row() -> None:
    def built(shift: float) -> gm.Model:
        model = gm.Model("rows", convex=False)
        for name, weight in (("a", 1.0), ("b", 3.0)):
            agent = model.agent(name)
            x = agent.variable("x", (2, 3), bounds=(0.0, 1.5))
            agent.minimize(weight * cp.sum(1 - cos(x)))
        total = np.array([[0.2, 0.4, 0.6], [0.8, 1.0, 1.2]])
        total[1, 2] += shift
        model.couple(model["a"]["x"] + model["b"]["x"] == total, name="total")
        return model

    found = solve_central(built(0.0))
    slope = (solve_central(built(1e-3)).value - solve_central(built(-1e-3)).value) / 2e-3
    assert found.price["total"].shape == (2, 3)
    assert found.price["total"][1, 2] == pytest.approx(slope, abs=1e-5)
    assert found.price["total"] == pytest.approx(np.sin(found.variables["a"]["x"]), abs=1e-6)
    assert found.price["total"] == pytest.approx(3 * np.sin(found.variables["b"]["x"]), abs=1e-6)


def test_the_value_of_a_variable_is_the_start_of_the_search() -> None:
    for start, end in ((0.4, 0.0), (5.0, 2 * np.pi)):
        model = gm.Model("start", convex=False)
        x = model.agent("a").variable("x", bounds=(-2, 8))
        model["a"].minimize(1 - cos(x))
        x.value = start
        found = solve_central(model)
        assert found.variables["a"]["x"] == pytest.approx(end, abs=1e-5)
        assert x.value == start


def test_what_is_infeasible_nearby_is_said_to_be_so_locally() -> None:
    model = rectangle(4.0)
    model["a"].subject_to(model["a"]["x"] + model["a"]["y"] <= 3)
    found = solve_central(model)
    assert (found.status, found.value, found.solved) == ("infeasible", np.inf, False)
    assert found.culprit is not None
    assert found.culprit.startswith("locally infeasible: no point that fulfils all limits was found near the start")


@pytest.mark.parametrize("empty", [lambda x: 0 * x, lambda x: np.zeros((1, 2)) @ cp.hstack([x, x])])
def test_a_limit_without_a_way_to_hold_is_named(empty: Callable[[cp.Expression], cp.Expression]) -> None:
    model = rectangle(4.0)
    model["a"].subject_to(empty(model["a"]["x"]) >= 1, name="never")
    found = solve_central(model)
    assert (found.status, found.solver) == ("infeasible", "presolve")
    assert found.culprit is not None
    assert "never" in found.culprit


def test_a_convex_model_that_may_be_nonconvex_is_solved_as_convex() -> None:
    model = gm.Model("convex", convex=False)
    x = model.agent("a").variable("x", bounds=(0, 5))
    model["a"].minimize(cp.square(x - 1))
    assert solve_central(model).status == "optimal"


def test_a_cone_may_stand_beside_what_is_not_convex() -> None:
    model = rectangle(4.0)
    agent = model["a"]
    length = agent.variable("length")
    agent.subject_to(cp.SOC(length, cp.hstack([agent["x"], agent["y"]])), name="diagonal")
    agent.minimize(length)
    found = solve_central(model)
    assert found.value == pytest.approx(4.0 + np.sqrt(8.0), abs=1e-6)
    assert set(found.price) == set(found.dual) == {"a.area"}
    lacking = model.agent("b").variable("s", (2, 2), symmetric=True)
    model["b"].subject_to(lacking >> 0, name="cone")
    with pytest.raises(CurvatureError, match=r"cone at .* of b is a PSD cone"):
        solve_central(model)


def test_what_is_neither_convex_nor_smooth_is_named() -> None:
    model = rectangle(4.0)
    model["a"].subject_to(cp.abs(model["a"]["x"]) >= 1, name="away")
    with pytest.raises(CurvatureError, match=r"away at test_nonlinear\.py:\d+ of a is neither convex nor smooth: "):
        solve_central(model)


def test_a_model_that_should_be_convex_is_told_how_to_be_smooth() -> None:
    model = gm.Model("should")
    x = model.agent("a").variable("x", 2)
    model["a"].subject_to(cp.multiply(x[0], x[1]) >= 1)
    with pytest.raises(CurvatureError, match=r"need not be convex .* is gm\.Model\(\.\.\., convex=False\)"):
        solve_central(model)


def test_a_parameter_without_a_value_is_named() -> None:
    model = rectangle(4.0)
    scale = model["a"].parameter("scale")
    model["a"].minimize(scale * model["a"]["x"])
    with pytest.raises(DataError, match=r"parameter a\.scale has no value"):
        solve_central(model)
    scale.value = 3.0  # 4 x + y with x y = 4
    assert solve_central(model).value == pytest.approx(8.0, abs=1e-6)


@pytest.mark.parametrize(("module", "words"), [("casadi", "Ipopt is not"), ("pyomo.environ", "Pyomo is not")])
def test_the_pip_line_where_something_is_missing(module: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ModelError, match=words + r".*pip install 'gridmodel\[acopf\]'"):
        solve_central(rectangle(4.0))


STAND_IN = """#!{python}
import sys
import casadi, numpy as np
if "-v" in sys.argv:
    print("Ipopt 3.14.0 (stand-in)")
    raise SystemExit
path = next(a for a in sys.argv[1:] if not a.startswith("-"))
path = path if path.endswith(".nl") else path + ".nl"
b = casadi.NlpBuilder()
b.import_nl(path, {{"verbose": False}})
s = casadi.nlpsol("s", "ipopt", {{"x": casadi.vertcat(*b.x), "f": b.f, "g": casadi.vertcat(*b.g)}},
                  {{"print_time": False, "ipopt": {{"print_level": 0, "sb": "yes"}}}})
r = s(x0=b.x_init, lbx=b.x_lb, ubx=b.x_ub, lbg=b.g_lb, ubg=b.g_ub)
x, y = np.asarray(r["x"]).ravel(), -np.asarray(r["lam_g"]).ravel()  # AMPL's sign
with open(path[:-3] + ".sol", "w") as out:
    print("Ipopt: Optimal Solution Found", "", "Options", 3, 1, 1, 0, sep="\\n", file=out)
    print(len(y), len(y), len(x), len(x), sep="\\n", file=out)
    print(*map(repr, map(float, [*y, *x])), sep="\\n", file=out)
    print("objno 0 0", file=out)
"""


def test_an_executable_on_the_path_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ipopt"
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = solve_central(rectangle(9.0))
    assert found.solver == "IPOPT (executable)"
    assert found.value == pytest.approx(6.0, abs=1e-6)
    assert found.price["a.area"] == pytest.approx(1 / 3, abs=1e-6)
