"""The run: when it ends, what it keeps, what it tells on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from gridmodel.ir.properties import Properties, Traffic, Verdict
from gridmodel.ir.result import Status
from gridmodel.ir.separable import Separable
from gridmodel.runtime.bound import Bounder
from gridmodel.runtime.interface import AbstractAlgorithm, Iterate
from gridmodel.runtime.judgement import judge
from gridmodel.runtime.loop import Limits, run
from gridmodel.runtime.scale import Scale
from gridmodel_solvers.fused import Fused
from tests.solvers.build import INF, dispatch, dispatch_cost, separable, stack

OPTIMUM = np.array([[2.06], [1.0], [1.04]])
PRICE = 1.02


@dataclass(frozen=True)
class Script(AbstractAlgorithm):
    """Comes a fixed share nearer to the optimum of the dispatch in each round; stops with Ctrl-C at one of them."""

    rate: float = 0.5
    interrupt: int | None = None
    worse_from: int | None = None
    name: ClassVar[str] = "script"

    def verdict(self, properties: Properties) -> Verdict:
        return Verdict(True, "always")

    def traffic(self, problem: Separable) -> Traffic:
        return Traffic(0, 0)

    def init(self, problem: Separable, warm: Iterate | None, tolerance: float) -> int:
        return 0

    def step(self, state: int) -> int:
        if state + 1 == self.interrupt:
            raise KeyboardInterrupt
        return state + 1

    def observe(self, state: int) -> Iterate:
        late = self.worse_from is not None and state >= self.worse_from
        error = 1.0 if late else self.rate**state
        none = [np.zeros((3, 0))]
        return Iterate([OPTIMUM * (1 + error)], np.array([-PRICE * (1 + error)]), none, none, error)


class Counting(Script):
    """Claims a guess and a perfect answer to it."""

    def guess(self, state: Any) -> bytes:
        return b"same"

    def refine(self, state: Any) -> tuple[Iterate, int]:
        none = [np.zeros((3, 0))]
        return Iterate([OPTIMUM], np.array([-PRICE]), none, none, 0.0), 7


def test_it_ends_when_the_answer_is_proven():
    outcome = run(dispatch(), Script(), Limits(tolerance=1e-4))
    assert outcome.status is Status.CERTIFIED
    assert outcome.rounds == 20  # an error of 2^-10 is too large, judged every ten rounds
    np.testing.assert_allclose(outcome.judgement.iterate.x[0], OPTIMUM, rtol=1e-5)
    assert dispatch_cost(outcome.judgement.value) == pytest.approx(3.601, rel=1e-4)
    assert outcome.judgement.within(1e-4)
    assert not outcome.judgement.within(1e-9)


@pytest.mark.parametrize("at", [1, 5, 15, 25])
def test_ctrl_c_keeps_the_best_so_far(at):
    outcome = run(dispatch(), Script(rate=0.9, interrupt=at), Limits(tolerance=1e-9))
    assert outcome.status is Status.INTERRUPTED
    assert outcome.rounds == at - 1
    judged = 10 * ((at - 1) // 10)
    np.testing.assert_allclose(outcome.judgement.iterate.x[0], OPTIMUM * (1 + 0.9**judged))
    assert len(outcome.trace.rounds) == judged // 10


def test_ctrl_c_in_a_callback_counts_too():
    def stop(rounds: int, primal: float, gap: float | None) -> None:
        if rounds >= 20:
            raise KeyboardInterrupt

    outcome = run(dispatch(), Script(rate=0.9), Limits(tolerance=1e-9), progress=stop)
    assert (outcome.status, outcome.rounds) == (Status.INTERRUPTED, 20)


def test_the_best_answer_is_kept_when_later_ones_are_worse():
    outcome = run(dispatch(), Script(rate=0.9, worse_from=25), Limits(tolerance=1e-9, max_rounds=100))
    assert outcome.status is Status.STOPPED
    assert outcome.rounds == 100
    np.testing.assert_allclose(outcome.judgement.iterate.x[0], OPTIMUM * (1 + 0.9**20))


@pytest.mark.parametrize("rounds", [1, 7, 10, 33])
def test_the_last_round_is_judged_where_rounds_run_out(rounds):
    outcome = run(dispatch(), Script(rate=0.9), Limits(tolerance=1e-9, max_rounds=rounds))
    assert (outcome.status, outcome.rounds) == (Status.STOPPED, rounds)
    assert f"{rounds} rounds" in outcome.message
    np.testing.assert_allclose(outcome.judgement.iterate.x[0], OPTIMUM * (1 + 0.9**rounds))
    assert outcome.trace.rounds[-1] == rounds


def test_seconds_run_out():
    outcome = run(dispatch(), Script(rate=1.0), Limits(seconds=0.0))
    assert (outcome.status, outcome.rounds) == (Status.STOPPED, 10)
    assert "0 seconds" in outcome.message


def test_progress_and_history_tell_the_same():
    told: list[tuple[int, float, float | None]] = []
    outcome = run(
        dispatch(), Script(rate=0.9), Limits(tolerance=1e-5, check_every=5), progress=lambda *seen: told.append(seen)
    )
    trace = outcome.trace
    assert [entry[0] for entry in told] == trace.rounds.tolist()
    assert trace.rounds[:4].tolist() == [5, 10, 15, 20]
    assert (np.diff(trace.rounds) >= 5).all()
    assert trace.rounds[-1] == outcome.rounds
    assert [entry[1] for entry in told] == trace.primal.tolist()
    for name in ("value", "bound", "primal", "dual", "seconds"):
        assert getattr(trace, name).shape == trace.rounds.shape
    assert trace.prices.shape == (len(trace.rounds), 1)
    np.testing.assert_allclose(trace.dual, 0.9**trace.rounds)
    np.testing.assert_allclose(trace.prices[:, 0], -PRICE * (1 + 0.9**trace.rounds))
    np.testing.assert_allclose(trace.primal, 0.9**trace.rounds)
    assert (np.diff(trace.seconds) >= 0).all()
    assert (trace.bound <= 3.601 - 2 / 3 + 1e-9).all()
    assert trace.value[-1] == outcome.judgement.value


def test_a_settled_guess_is_refined_and_its_rounds_are_counted():
    outcome = run(dispatch(), Counting(rate=0.8), Limits(tolerance=1e-9))
    assert outcome.status is Status.CERTIFIED
    assert outcome.rounds == 27  # asked at round 20, where the guess was met twice and the error is below 0.05
    assert outcome.judgement.badness() < 1e-12


def test_a_warm_start_is_judged_after_one_round():
    start = Script().observe(60)
    assert run(dispatch(), Script(rate=1e-3), Limits(tolerance=1e-2), warm=start).rounds == 1


def test_the_gap_of_a_judgement_is_relative_to_value_or_terms():
    problem = dispatch()
    scale = Scale(problem)
    judged = judge(problem, scale, Bounder(problem, scale), Script().observe(200))
    assert judged.size == pytest.approx(3.601 - 2 / 3)
    assert judged.gap == pytest.approx(0.0, abs=1e-12)
    made = stack([0.0], [[5.0], [-5.0]], [[1.0]], [0], 1.0, 2.0)
    cancels = separable([made], -INF, INF)
    none = [np.zeros((2, 0))]
    seen = Iterate([np.ones((2, 1))], np.zeros(1), none, none, 0.0)
    scale = Scale(cancels)
    judged = judge(cancels, scale, Bounder(cancels, scale), seen)
    assert judged.value == 0.0
    assert judged.size == pytest.approx(0.1)
    assert judged.gap == pytest.approx((0.0 - (5 * 1 - 5 * 2)) / 0.1)


def test_an_infeasible_balance_is_proven_by_its_multipliers():
    outcome = run(dispatch(demand=9.0), Fused(), Limits(tolerance=1e-6))
    assert outcome.status is Status.INFEASIBLE
    assert outcome.ray is not None
    problem = dispatch(demand=9.0)
    assert Bounder(problem, Scale(problem))(outcome.ray, costs=False).value > 0


def test_a_suspect_run_asks_once_and_takes_the_verdict():
    asked = []

    def suspect() -> tuple[Status, str] | None:
        asked.append(1)
        return (Status.UNBOUNDED, "it falls") if answer else None

    answer = True
    outcome = run(dispatch(), Script(rate=1.0), Limits(max_rounds=1000), suspect=suspect)
    assert (outcome.status, outcome.message, len(asked)) == (Status.UNBOUNDED, "it falls", 1)
    answer = False
    outcome = run(dispatch(), Script(rate=1.0), Limits(max_rounds=1000), suspect=suspect)
    assert (outcome.status, len(asked)) == (Status.STOPPED, 2)


def test_many_rows_keep_a_choice_of_prices():
    m = 200
    made = stack(np.ones(m), np.ones((1, m)), np.eye(m), np.arange(m), 0.0, 1.0)
    outcome = run(separable([made], np.full(m, -INF), np.full(m, 0.5)), Fused(), Limits(tolerance=1e-6))
    assert outcome.trace.prices.shape == (len(outcome.trace.rounds), 60)
    assert outcome.trace.rows[[0, -1]].tolist() == [0, m - 1]


class Exploding(Script):
    """Leaves the range of numbers in round 30."""

    def observe(self, state: int) -> Iterate:
        seen = super().observe(state)
        return seen if state < 30 else Iterate([np.full((3, 1), np.nan)], seen.mu, seen.nu, seen.zeta, np.nan)


def test_numbers_that_are_none_end_the_run_with_the_best_before():
    outcome = run(dispatch(), Exploding(rate=0.9), Limits(tolerance=1e-9))
    assert (outcome.status, outcome.rounds) == (Status.STOPPED, 30)
    assert "range of numbers" in outcome.message
    np.testing.assert_allclose(outcome.judgement.iterate.x[0], OPTIMUM * (1 + 0.9**20))
