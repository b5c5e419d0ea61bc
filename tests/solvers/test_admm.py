"""ADMM picks the form that suits the couplings and says why the others do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gridmodel.errors import ModelError, NotApplicableError
from gridmodel.ir.cones import Cones
from gridmodel.ir.properties import BlockFacts
from gridmodel_solvers.admm import ADMM
from tests.solvers.build import dispatch, separable, stack
from tests.solvers.runs import agreement, properties, run

CONIC = BlockFacts(1, "area", "conic", 3, 1, "2 second-order cones", True, (0.0, 1.0), None)


@pytest.mark.parametrize(
    ("changes", "form"),
    [
        ({}, "fused"),
        ({"coordinator": False}, "edge"),
        ({"is_qp": False, "blocks": (CONIC,)}, "exchange"),
        ({"is_qp": False, "blocks": (CONIC,), "all_agreement": True}, "consensus"),
    ],
)
def test_auto_settles_on(changes: dict[str, Any], form: str) -> None:
    facts = properties(**changes)
    assert ADMM().verdict(facts).applies
    assert ADMM().verdict(facts).reason.startswith(form)
    assert ADMM().settled(facts).form == form


@pytest.mark.parametrize(
    ("form", "changes", "reason"),
    [
        ("fused", {"is_qp": False, "blocks": (CONIC,)}, "area has 2 second-order cones"),
        ("fused", {"coordinator": False}, "forbids one"),
        ("exchange", {"coordinator": False}, "forbids one"),
        ("consensus", {}, "no agreement"),
        ("edge", {"most_participants": 3}, "ties 3 agents"),
        ("edge", {"strangers": (("a", "b"),)}, "a and b share a coupling but are not neighbours"),
        ("auto", {"coordinator": False, "most_participants": 5}, "ties 5 agents"),
    ],
)
def test_refusals_say_why(form: Any, changes: dict[str, Any], reason: str) -> None:
    facts = properties(**changes)
    assert not ADMM(form=form).verdict(facts).applies
    assert reason in ADMM(form=form).verdict(facts).reason
    with pytest.raises(NotApplicableError, match=reason):
        ADMM(form=form).settled(facts)


@pytest.mark.parametrize("form", ["exchange", "consensus", "edge"])
def test_forms_agree_on_an_agreement(form: Any) -> None:
    problem = agreement([1.0, 2.0, 4.0], [0.0, 3.0, 6.0], [(0, 1), (1, 2)])
    seen, _ = run(ADMM(form=form), problem, 1e-7)
    np.testing.assert_allclose([x.item() for x in seen.x], [30 / 7] * 3, atol=1e-5)
    # f_0' = x - 0 and f_2' = 4 (x - 6) must be balanced by the rows x_0 - x_1 and x_1 - x_2.
    np.testing.assert_allclose(seen.mu, [-30 / 7, 4 * (30 / 7 - 6)], atol=1e-4)


def test_options_that_the_sweep_lacks_lead_past_it() -> None:
    assert ADMM(rho=1.0).settled(properties()).form == "exchange"
    assert ADMM(memory=5).settled(properties(all_agreement=True)).form == "consensus"
    seen, _ = run(ADMM(rho=1.0), dispatch(), 1e-7)
    np.testing.assert_allclose(seen.mu, [-1.02], atol=1e-5)


@pytest.mark.parametrize("oracle", ["closed", "osqp", "clarabel", "batched"])
def test_oracles_can_be_asked_for(oracle: str) -> None:
    seen, _ = run(ADMM(form="exchange", oracle=oracle), dispatch(), 1e-6)
    np.testing.assert_allclose(seen.mu, [-1.02], atol=1e-4)


def test_conic_model_takes_exchange_without_being_told() -> None:
    cone = stack(
        [1.0, 0.0], [[0.0, 1.0]], [[1.0, 0.0]], [0], G=[[0, 1.0], [1.0, 0]], h=[[0, 0.0]], cones=Cones(soc=(2,))
    )
    other = stack([[1.0]], [[0.0]], [[1.0]], [0])
    problem = separable([cone, other], 2.0, 2.0)
    # min x^2/2 + |x| + y^2/2 with x + y = 2: x + 1 = y, so x = 1/2 and the price is 3/2.
    seen, _ = run(ADMM(), problem, 1e-6)
    np.testing.assert_allclose(seen.mu, [-1.5], atol=1e-4)
    np.testing.assert_allclose(seen.x[0][0], [0.5, 0.5], atol=1e-4)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"form": "ring"}, "no form"),
        ({"rho": 0.0}, "penalty"),
        ({"relaxation": 2.0}, "converge"),
        ({"memory": -1}, "memory"),
        ({"form": "fused", "rho": 1.0}, "form='exchange' with them"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ModelError, match=text):
        ADMM(**options)


def test_impossible_forms_are_refused_at_the_start() -> None:
    cone = stack([1.0], [[0.0]], [[1.0]], [0], G=[[1.0], [1.0]], h=[[3.0, 0.0]], cones=Cones(soc=(2,)), labels=["area"])
    with pytest.raises(NotApplicableError, match="area has 1 second-order cones"):
        ADMM(form="fused").init(separable([cone], 1.0, 1.0), None, 1e-4)
    with pytest.raises(NotApplicableError, match="oracle='closed' cannot solve"):
        ADMM(form="exchange", oracle="closed").init(separable([cone], 1.0, 1.0), None, 1e-4)
