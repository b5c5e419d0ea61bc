"""Random separable models, written through the public language and solvable by construction unless asked otherwise.

Every variable has a point inside its bounds and strictly inside all inequalities; every equation passes through it.
So a "solvable" model is feasible with Slater's condition, and its costs are bounded below: variables without bounds
pay a cost that grows in every direction faster than any linear term.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cvxpy as cp
import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridmodel.language.declared import AbstractParty
from gridmodel.language.model import Model

__all__ = ["EXAMPLES", "Drawn", "drawn_models"]

Floats = NDArray[np.float64]

EXAMPLES = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),  # a smaller model is found by solving hundreds: minutes, for little
    suppress_health_check=list(HealthCheck),
)
"""Settings of all tests over random models: the same models in every run."""

SCALES = (1e-3, 1.0, 1.0, 1e3)
AFFINE = ("==", "<=", ">=", "both sides", "vector ==", "vector <=", "agree", "pair", "band")


@dataclass(frozen=True)
class Style:
    """The kinds of cost and constraint that a model may use; ``one_sided`` costs need bounds."""

    coercive: tuple[str, ...]
    one_sided: tuple[str, ...]
    limits: tuple[str, ...]
    couplings: tuple[str, ...]
    shared: tuple[str, ...]
    matrices: bool = False


LP = Style(("abs", "norm_inf"), ("linear", "linear", "max"), ("none", "row", "equation", "ramp"), AFFINE, ("peak",))
QP = Style(
    ("quadratic", "quadratic", "huber", "abs", "norm_inf", "matrix", "quad_form"),
    LP.one_sided, LP.limits, AFFINE, ("track", "peak"),
)  # fmt: skip
CONIC = Style(
    (*QP.coercive, "norm2"), ("linear", "max", "exp", "log"), (*LP.limits, "ball", "cone", "exp"),
    (*AFFINE, "squares", "norm"), ("track", "peak", "norm"), True,
)  # fmt: skip


@dataclass
class Part:
    """A variable u = (x - centre) / scale of one party, with its inner point; rows first in a fleet."""

    party: AbstractParty
    x: cp.Variable
    inner: Floats
    scale: float
    centre: float

    @property
    def u(self) -> cp.Expression:
        return (self.x - self.centre) / self.scale

    @property
    def at(self) -> Floats:
        """u at the inner point."""
        return (self.inner - self.centre) / self.scale

    @property
    def fleet(self) -> bool:
        return self.party.size is not None

    def rows_sum(self, expression: cp.Expression) -> cp.Expression:
        """Sums all but the axis of the agents."""
        return cp.sum(expression, axis=1) if self.fleet and expression.ndim == 2 else expression


@dataclass
class Drawn:
    """A random model, what it is by construction, and the words that built it."""

    model: Model
    kind: str
    parts: list[Part]
    words: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Drawn({self.kind}: {'; '.join(self.words)})"


@st.composite
def drawn_models(draw: Callable[..., Any], kinds: tuple[str, ...] = ("solvable",)) -> Drawn:
    """A model of 2-6 parties, of which some are fleets of 2-8, with 1-3 couplings."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(kinds))
    width = draw(st.integers(2, 4))
    money = draw(st.sampled_from((1e-2, 1.0, 1.0, 1e2)))
    style = draw(st.sampled_from((LP, QP, QP, CONIC, CONIC)))
    drawn = Drawn(Model("random"), kind, [])
    for k in range(draw(st.integers(2, 6))):
        _party(draw, rng, drawn, style, k, width, money)
    for k in range(draw(st.integers(1, 3))):
        _coupling(draw, rng, drawn, style, k, width)
    if draw(st.integers(0, 3)) == 0:
        _shared_cost(draw, rng, drawn, style, money)
    if kind == "infeasible":
        _make_infeasible(draw, drawn)
    if kind == "unbounded":
        _make_unbounded(drawn)
    return drawn


def _party(draw: Any, rng: np.random.Generator, drawn: Drawn, style: Style, k: int, width: int, money: float) -> None:
    size = draw(st.one_of(st.none(), st.none(), st.integers(2, 8)))
    party: AbstractParty = drawn.model.agent(f"a{k}") if size is None else drawn.model.fleet(f"f{k}", size)
    if style.matrices and size is None and draw(st.integers(0, 9)) == 0:
        _matrix_variable(rng, drawn, party, money)
        return
    shape: tuple[int, ...] = draw(st.sampled_from([(), (width,)]))
    scale = draw(st.sampled_from(SCALES))
    bounded = draw(st.sampled_from(["both", "both", "both", "none", "lower"]))
    full = shape if size is None else (size, *shape)
    centre = float(np.round(rng.normal(), 2)) * scale
    inner = centre + scale * rng.uniform(-0.6, 0.6, full)
    lower = None if bounded == "none" else inner - scale * rng.uniform(0.3, 2.0, full)
    upper = inner + scale * rng.uniform(0.3, 2.0, full) if bounded == "both" else None
    x = party.variable("x", shape, bounds=None if bounded == "none" else (lower, upper))
    part = Part(party, x, inner, scale, centre)
    drawn.parts.append(part)
    names = [draw(st.sampled_from(style.coercive if bounded != "both" else style.coercive + style.one_sided))]
    if draw(st.booleans()):
        names.append(draw(st.sampled_from((*style.coercive, "small linear"))))
    for name in names:
        party.minimize(money * float(rng.uniform(0.5, 3)) * _cost(name, part, rng, draw(st.booleans())))
    limit = draw(st.sampled_from(style.limits))
    if limit != "none":
        party.subject_to(*_limit(limit, part, rng))
    drawn.words.append(f"{party.name}{full} {bounded} x{scale:g} {'+'.join(names)} {limit}")


def _cost(name: str, part: Part, rng: np.random.Generator, per_agent: bool) -> cp.Expression:
    u, wide = part.u - rng.uniform(-1, 1, part.x.shape), part.x.ndim - part.fleet == 1
    axis = {"axis": 1} if part.fleet else {}
    k = part.x.shape[-1] if wide else 1
    if name == "quadratic":
        rows = part.rows_sum(cp.multiply(rng.uniform(0.5, 2, part.x.shape), cp.square(u)))
    elif name == "huber":
        rows = part.rows_sum(cp.huber(u, 0.7))
    elif name == "abs" or (not wide and name in ("norm2", "norm_inf", "max")):
        rows = part.rows_sum(cp.abs(u))
    elif name == "norm2":
        rows = cp.norm(u, 2, **axis)
    elif name == "norm_inf":
        rows = cp.max(cp.abs(u), **axis)
    elif name == "max":
        rows = cp.max(u, **axis)
    elif name in ("matrix", "quad_form") and wide:
        root = rng.normal(size=(k, k)) + 2 * np.eye(k)
        form = name == "quad_form" and not part.fleet
        rows = cp.quad_form(u, root @ root.T) if form else part.rows_sum(cp.square(u @ root))
    elif name in ("matrix", "quad_form"):
        rows = cp.square(u)
    elif name == "linear":
        rows = part.rows_sum(cp.multiply(rng.normal(size=part.x.shape), u))
    elif name == "small linear":
        rows = part.rows_sum(cp.multiply(rng.uniform(-0.1, 0.1, size=part.x.shape), u))
    elif name == "exp":
        rows = part.rows_sum(cp.exp(u))
    else:  # log: the bounds keep u above -5
        rows = -part.rows_sum(cp.log(u + 6))
    return rows if part.fleet and per_agent else cp.sum(rows)


def _limit(name: str, part: Part, rng: np.random.Generator) -> list[cp.Constraint]:
    wide = part.x.ndim - part.fleet == 1
    slack = float(rng.uniform(0.1, 0.5))
    weight = rng.uniform(0.5, 2, part.x.shape)
    total = part.rows_sum(cp.multiply(weight, part.u))
    value = (weight * part.at).sum(axis=1) if part.fleet and wide else weight * part.at
    if not part.fleet and wide:
        total, value = cp.sum(total), value.sum()
    if not wide:
        return [part.u <= part.at + slack, part.u >= part.at - 2 * slack]
    if name == "row":
        return [total <= value + slack]
    if name == "equation":
        return [total == value]
    if name == "ramp":
        late, early, step = part.u[..., 1:], part.u[..., :-1], np.diff(part.at, axis=-1)
        return [late - early <= step + slack, early - late <= -step + slack]
    moved = part.u - part.at
    if name == "exp":
        return [part.rows_sum(cp.exp(moved)) <= part.x.shape[-1] + slack] if part.fleet else [
            cp.sum(cp.exp(moved)) <= part.x.shape[-1] + slack
        ]  # fmt: skip
    if name == "cone" and not part.fleet:
        return [cp.SOC(cp.Constant(slack), moved)]
    return [cp.norm(moved, 2, axis=1) <= slack] if part.fleet else [cp.norm(moved, 2) <= slack]


def _matrix_variable(rng: np.random.Generator, drawn: Drawn, party: AbstractParty, money: float) -> None:
    inner = np.eye(2) + 0.3 * np.array([[0.0, 1.0], [1.0, 0.0]])
    x = party.variable("x", (2, 2), PSD=True)
    price = rng.normal(size=(2, 2))
    party.minimize(money * (cp.trace((price + price.T) @ x) + 0.5 * cp.sum_squares(x)))
    party.subject_to(cp.trace(x) <= 4)
    drawn.parts.append(Part(party, x, inner, 1.0, 0.0))
    drawn.words.append(f"{party.name} PSD(2)")


def _share(part: Part, rng: np.random.Generator, width: int | None) -> tuple[cp.Expression, Floats]:
    """What a party puts into a coupling of shape () or (width,), and its value at the inner point."""
    u, at = part.u, part.at
    if width is not None and part.x.shape[-1:] == (width,) and part.x.ndim == 1 + part.fleet:
        weight = float(rng.choice([1.0, -1.0, 0.5]))
        return (weight * cp.sum(u, axis=0), weight * at.sum(axis=0)) if part.fleet else (weight * u, weight * at)
    weight = rng.uniform(0.3, 2.0, part.x.shape) * rng.choice([1.0, 1.0, -1.0])
    total, value = cp.sum(cp.multiply(weight, u)), np.asarray((weight * at).sum())
    if width is None:
        return total, value
    spread = rng.uniform(0.5, 1.5, width)
    return spread * total, spread * value


def _coupling(draw: Any, rng: np.random.Generator, drawn: Drawn, style: Style, k: int, width: int) -> None:
    kind = draw(st.sampled_from(style.couplings))
    row = draw(st.sampled_from(SCALES))
    drawn.words.append(f"c{k} {kind} x{row:g}")
    couple, name = drawn.model.couple, f"c{k}"
    if kind in ("agree", "pair"):
        _agreement(rng, drawn, k, kind)
        return
    count = draw(st.integers(2, len(drawn.parts)))
    chosen = [drawn.parts[i] for i in rng.permutation(len(drawn.parts))[:count]]
    shares = [_share(part, rng, width if kind.startswith("vector") else None) for part in chosen]
    total, value = sum(e for e, _ in shares), sum(v for _, v in shares)
    slack = float(rng.uniform(0.02, 0.6))
    if kind in ("==", "vector =="):
        couple(row * total == row * value, name=name)
    elif kind in ("<=", "vector <="):
        couple(row * total <= row * (value + slack), name=name)
    elif kind == ">=":
        couple(row * total >= row * (value - slack), name=name)
    elif kind == "both sides":
        rest, rest_value = sum(e for e, _ in shares[1:]), sum(v for _, v in shares[1:])
        couple(row * shares[0][0] <= row * (rest + (shares[0][1] - rest_value) + slack), name=name)
    elif kind == "squares":
        couple(row * sum(cp.square(e) for e, _ in shares) <= row * (sum(v**2 for _, v in shares) + slack), name=name)
    elif kind == "norm":
        reach = float(np.linalg.norm([v for _, v in shares]))
        couple(row * cp.norm(cp.hstack([e for e, _ in shares]), 2) <= row * (reach + slack), name=name)
    else:
        couple(row * cp.abs(total - value) <= row * slack, name=name)


def _agreement(rng: np.random.Generator, drawn: Drawn, k: int, kind: str) -> None:
    """A new variable in some parties, with one inner value; agents want different things of it."""
    parties = [drawn.model.agents[i] for i in rng.permutation(len(drawn.model.agents))[: rng.integers(2, 4)]]
    if kind == "pair":
        parties = [party for party in parties if party.size is None]
    name, inner = f"theta{k}", float(rng.normal())
    for party in parties:
        theta = party.variable(name, bounds=(inner - 2, inner + 1))
        wish = inner + rng.normal(size=theta.shape)
        party.minimize(float(rng.uniform(0.2, 2)) * cp.sum_squares(theta - wish))
    if kind == "agree" and (len(parties) > 1 or parties[0].size is not None):
        drawn.model.agree(name)
    elif len(parties) > 1:
        drawn.model.agree(*(party[name] for party in parties))


def _shared_cost(draw: Any, rng: np.random.Generator, drawn: Drawn, style: Style, money: float) -> None:
    kind = draw(st.sampled_from(style.shared))
    total = sum(_share(part, rng, None)[0] for part in drawn.parts[:3])
    drawn.words.append(f"shared cost {kind}")
    if kind == "track":
        drawn.model.minimize(money * cp.square(total - float(rng.normal())))
    elif kind == "peak":
        drawn.model.minimize(money * cp.pos(total - float(rng.normal())))
    else:
        drawn.model.minimize(money * cp.norm(cp.hstack([part.u[0] if part.x.ndim == 1 else cp.sum(part.u)
                                                        for part in drawn.parts[:3]]), 2))  # fmt: skip


def _make_infeasible(draw: Any, drawn: Drawn) -> None:
    how = draw(st.sampled_from(("agent", "coupling")))
    drawn.words.append(f"infeasible {how}")
    part = drawn.parts[0]
    if how == "agent":
        part.party.subject_to(part.u <= part.at - 1, part.u >= part.at + 1)
        return
    other = drawn.model.agent("bounded")
    y = other.variable("y", bounds=(-1, 1))
    other.minimize(cp.square(y))
    reach = 1 + float(np.abs(part.at).max())
    part.party.subject_to(cp.abs(part.u) <= reach)
    drawn.model.couple(cp.sum(part.u) + y >= part.x.size * reach + 3, name="impossible")


def _make_unbounded(drawn: Drawn) -> None:
    runaway = drawn.model.agent("runaway")
    y = runaway.variable("y", bounds=(0, None))
    runaway.minimize(-y)
    first = drawn.parts[0]
    drawn.model.couple(y + cp.sum(first.u) >= float(first.at.sum()) - 1, name="no stop")
