"""Results and properties made by hand, for tests of what is shown and written."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import settings

from gridmodel.ir.properties import BlockFacts, Properties, RowFacts
from gridmodel.ir.result import Certificate, Result, Seconds, Status, Trace

# Several test workers share the cores; a thread pool in each would only make them wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples in every run; `pytest --hypothesis-profile default` draws new ones.
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")


@pytest.fixture
def dispatch_result() -> Result:
    """The economic dispatch at its optimum, after 40 rounds of a method that halves its error in each."""
    rounds = np.arange(1.0, 41.0)
    error = 0.5**rounds
    value = 3.601 + error
    trace = Trace(
        rounds=rounds,
        value=value,
        bound=np.where(rounds < 3, np.nan, 3.601 - error),
        primal=error,
        dual=3 * error,
        seconds=1e-3 * rounds,
        prices=(1.02 + error)[:, None],
        rows=np.array([0]),
    )
    certificate = Certificate(
        tolerance=1e-4,
        value=3.601,
        size=3.601,
        primal_residual=1e-12,
        coupling_residual=1e-12,
        local_residual=0.0,
        dual_residual=3e-12,
        lower_bound=3.601 - 1e-12,
        gap=3e-13,
        central_solver="CLARABEL",
        central_status="optimal",
        central_value=3.601,
        central_gap=1e-12,
        price_error=2e-12,
        price_error_relative=2e-12,
        variable_error=1e-11,
    )
    return Result(
        model_name="dispatch",
        algorithm="admm",
        status=Status.CERTIFIED,
        message="",
        value=3.601,
        variables={"g1": {"p": np.float64(2.06)}, "g2": {"p": np.array(1.0)}, "g3": {"p": np.array(1.04)}},
        price={"balance": np.float64(1.02)},
        dual={"balance": np.float64(-1.02)},
        certificate=certificate,
        trace=trace,
        rounds=40,
        messages=240,
        bytes=1920,
        seconds=Seconds(0.01, 0.02, 0.03),
        units={"balance": "kW", "g1.p": "kW", "g2.p": "kW", "g3.p": "kW"},
        currency="EUR/h",
        coupling_rows={0: "balance"},
    )


@pytest.fixture
def infeasible_result(dispatch_result: Result) -> Result:
    """What a solve gives back that proved the model infeasible."""
    return replace(
        dispatch_result,
        status=Status.INFEASIBLE,
        value=float("nan"),
        variables={},
        price={},
        dual={},
        certificate=None,
        trace=None,
        culprit="coupling 'balance'",
    )


@pytest.fixture
def fleet_properties() -> Properties:
    """Twenty equal homes and one plant, a limit of 24 rows, and no strong convexity."""
    homes = BlockFacts(20, "home[0]", "LP", 96, 48, "none", True, (0.0, 0.0), None)
    plant = BlockFacts(1, "plant", "QP", 24, 0, "none", True, (0.1, 0.5), 10.0)
    return Properties(
        blocks=(homes, plant),
        couplings=(RowFacts("transformer", "resource", "<=", 24, (20, 21), "kW"),),
        agents=21,
        columns=1944,
        coupling_rows=24,
        copies=0,
        is_qp=True,
        is_lp=False,
        step_norm=None,
        most_participants=21,
        all_agreement=False,
        coordinator=True,
        strangers=(),
        components=None,
    )
