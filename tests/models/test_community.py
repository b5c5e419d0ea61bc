"""The community against a linear or quadratic program written home by home, and against physics."""

import cvxpy as cp
import numpy as np
import pytest

import gridmodel as gm
from models.community import ETA, LOSS, build, data


def _home_by_home(homes: int, hours: int, seed: int, kind: str, limit: float) -> tuple[float, np.ndarray]:
    """Optimal cost and prices of the transformer, from a model written independently."""
    price, load, solar, capacity = data(homes, hours, seed)
    total, cost, limits = 0, 0, []
    for i in range(homes):
        charge, discharge, grid = cp.Variable(hours), cp.Variable(hours), cp.Variable(hours)
        size = float(capacity[i, 0])
        stored = size / 2 + ETA * cp.cumsum(charge) - cp.cumsum(discharge) / ETA
        limits += [stored >= 0, stored <= size, stored[hours - 1] >= size / 2]
        limits += [charge >= 0, charge <= 0.4 * size, discharge >= 0, discharge <= 0.4 * size]
        limits += [grid == load[i] - solar[i] + charge - discharge, cp.abs(grid) <= 12]
        cost += price @ grid + LOSS[kind] / 2 * cp.sum_squares(grid)
        total += grid
    transformer = total <= limit * homes
    problem = cp.Problem(cp.Minimize(cost), [*limits, transformer])
    problem.solve(solver=cp.CLARABEL)
    return float(problem.value), -transformer.dual_value


@pytest.mark.parametrize("kind", ["qp", "lp"])
def test_the_fleet_is_the_model_written_home_by_home(kind: str) -> None:
    value, prices = _home_by_home(6, 24, 3, kind, 0.65)
    result = gm.solve(build(homes=6, seed=3, kind=kind), "admm", tolerance=1e-6, verify=True)
    assert result.status.value == "certified"
    assert result.value == pytest.approx(value, rel=1e-5)
    if kind == "qp":  # prices of a linear program need not be unique
        np.testing.assert_allclose(result.price["transformer"], prices, atol=1e-3)
    assert (prices < -1e-3).sum() >= 5


def test_two_hundred_homes_are_short_of_transformer_in_fifteen_hours() -> None:
    result = gm.solve(build(homes=200), "admm", tolerance=1e-6)
    assert result.status.value == "certified"
    assert (np.asarray(result.price["transformer"]) < -1e-4).sum() == 15
    assert (result["home"]["grid"].sum(axis=0) <= 0.65 * 200 * (1 + 1e-4)).all()


def test_batteries_keep_their_physics() -> None:
    home = gm.solve(build(), "admm", tolerance=1e-6)["home"]
    _, load, solar, capacity = data(20, 24, 0)
    stored = 0.5 * capacity + np.cumsum(ETA * home["charge"] - home["discharge"] / ETA, axis=1)
    np.testing.assert_allclose(home["soc"][:, 1:], stored, atol=1e-3)
    np.testing.assert_allclose(home["grid"], load - solar + home["charge"] - home["discharge"], atol=1e-3)
    assert (stored >= -1e-3).all()
    assert (stored <= capacity + 1e-3).all()
    assert (stored[:, -1:] >= 0.5 * capacity - 1e-3).all()


def test_one_seed_makes_one_data_set() -> None:
    same, again, other = data(4, 24, 1), data(4, 24, 1), data(4, 24, 2)
    assert all((a == b).all() for a, b in zip(same, again, strict=True))
    assert (same[1] != other[1]).any()


def test_a_transformer_that_is_too_small_is_infeasible() -> None:
    result = gm.solve(build(homes=5, limit=0.2), "admm")
    assert result.status.value == "infeasible"
    assert "transformer" in (result.culprit or "")


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(gm.ModelError, match="kind must be 'qp' or 'lp', got 'milp'"):
        build(kind="milp")


@pytest.mark.parametrize(("option", "least"), [("homes", 1), ("hours", 1), ("seed", 0)])
def test_numbers_below_the_least_are_refused(option: str, least: int) -> None:
    with pytest.raises(gm.ModelError, match=f"{option} must be a whole number of at least {least}, got -2"):
        build(**{option: -2})  # type: ignore[arg-type]
