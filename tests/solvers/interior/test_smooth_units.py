"""The search on smooth models takes the same steps whatever units columns, rows and costs are written in."""

from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from gridmodel.ir.result import Status
from gridmodel.ir.separable import Couplings
from gridmodel.ir.smooth import AbstractSmooth, SmoothBlock, SmoothProblem
from gridmodel.runtime.loop import Limits
from gridmodel.runtime.smooth_run import run_smooth
from gridmodel_solvers.interior.method import Interior
from gridmodel_solvers.interior.sizes import reaches
from tests.solvers.interior.nonconvex import problem

TENS = st.integers(-4, 4).map(lambda k: 10.0**k)


@dataclass
class Rescaled(AbstractSmooth):
    """A block in other units: x = columns y, h and c over their units, cost times a number."""

    inner: AbstractSmooth
    units: np.ndarray
    equal: float
    above: float
    money: float

    def __post_init__(self):
        self.columns = self.inner.columns
        self.equations, self.inequalities = self.inner.equations, self.inner.inequalities

    def cost(self, x):
        return self.money * self.inner.cost(self.units * x)

    def gradient(self, x):
        return self.money * self.units * self.inner.gradient(self.units * x)

    def residuals(self, x):
        h, c = self.inner.residuals(self.units * x)
        return self.equal * h, self.above * c

    def jacobians(self, x):
        across = sp.diags_array(self.units)
        h, c = self.inner.jacobians(self.units * x)
        return sp.csr_array(self.equal * h @ across), sp.csr_array(self.above * c @ across)

    def hessian(self, x, nu, zeta):
        across = sp.diags_array(self.units)
        inner = self.inner.hessian(self.units * x, self.equal * nu / self.money, self.above * zeta / self.money)
        return sp.csr_array(self.money * across @ inner @ across)


def in_units(block, units, equal, above, money, rows):
    functions = Rescaled(block.functions, units, equal, above, money)
    C = sp.csr_array(sp.diags_array(rows) @ block.C @ sp.diags_array(units))
    sides = (side / units for side in (block.lower, block.upper, block.start))
    return SmoothBlock(block.label, functions, *sides, C, block.rows)


def bounded(free):
    """The two products; with ``free`` the second owner's columns have no upper ends."""
    given_problem = problem(4.0)
    a, b = given_problem.blocks
    if free:
        b = SmoothBlock(b.label, b.functions, b.lower, np.full(2, np.inf), b.start, b.C, b.rows)
    return SmoothProblem((a, b), given_problem.couplings)


@pytest.mark.parametrize("free", [False, True])
@settings(max_examples=8, deadline=None)
@given(st.data())
def test_rounds_do_not_depend_on_units(free, data):
    plain = bounded(free)
    limits = Limits(tolerance=1e-7, max_rounds=60)
    rows = np.array(data.draw(st.tuples(TENS, TENS)))
    money = data.draw(TENS)
    blocks = tuple(
        in_units(block, np.array(data.draw(st.tuples(TENS, TENS))), data.draw(TENS), data.draw(TENS), money, rows)
        for block in plain.blocks
    )
    sides = plain.couplings
    other = SmoothProblem(blocks, Couplings(rows * sides.lower, rows * sides.upper, ()))
    before, after = run_smooth(plain, Interior(), limits), run_smooth(other, Interior(), limits)
    assert before.status is after.status is Status.SOLVED
    assert abs(before.rounds - after.rounds) <= 2
    assert after.judgement.value == pytest.approx(money * before.judgement.value, rel=1e-5)


def test_columns_without_bounds_get_the_size_that_their_rows_tell():
    block = bounded(False).blocks[0]
    open_ended = SmoothBlock(
        "a", block.functions, np.array([0.1, -np.inf]), np.array([5.0, np.inf]), np.array([2.0, 0.0]), block.C[:1],
        block.rows[:1],
    )  # fmt: skip
    # x0 x1 = 1 at (2, 0): its slopes are (0, 2); x0^2 + x1^2 <= 20 there: (4, 0), so no row ties x1 to x0
    assert reaches(open_ended) == pytest.approx([4.9, 1.0])
    tied = SmoothBlock(
        "a", block.functions, open_ended.lower, open_ended.upper, open_ended.start, sp.csr_array([[3.0, 10.0]]),
        block.rows[:1],
    )  # fmt: skip
    assert reaches(tied) == pytest.approx([4.9, 3.0 * 4.9 / 10.0])
