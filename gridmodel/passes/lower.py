"""The whole way from a declared model to stacks and coupling rows, and back to the user's names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
from cvxpy.reductions.cvx_attr2constr import recover_value_for_leaf
from numpy.typing import NDArray

from gridmodel.errors import CurvatureError, SeparabilityError
from gridmodel.ir.separable import CouplingInfo, Couplings, Separable
from gridmodel.ir.batch import Batch
from gridmodel.language.declared import AbstractParty, Cost
from gridmodel.language.model import Model
from gridmodel.language.price import price_sign
from gridmodel.passes.agents import finite_or_error, lower_agents
from gridmodel.passes.blocks import Blocks
from gridmodel.passes.canonical import Canonical, canonicalize
from gridmodel.passes.cut import Cut, cut
from gridmodel.passes.distribute import Distributed, attach_all, distribute
from gridmodel.passes.fleets import empty_fleet, lower_fleet
from gridmodel.passes.presolve import Conflict, presolve
from gridmodel.passes.template import Template, columns_of, read_parameter

__all__ = ["Lowered", "Lowering", "lower", "shaped"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

_UNKNOWN = -2


@dataclass(frozen=True)
class Lowered:
    """The model as matrices at the parameters' present values, and where everything went.

    separable: stacks and coupling rows.
    stack_of, position_of: stack and place of each block. names: names of the blocks.
    named: {"agent.limit": [(stack, place, rows of A, sign of cvxpy's dual)], one a block}.
    conflicts: blocks found infeasible on the way.
    """

    separable: Separable
    stack_of: Ints
    position_of: Ints
    names: Sequence[str]
    named: dict[str, tuple[int, int, Ints, float]]
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True)
class _Joint:
    """A canonical problem over columns of several blocks."""

    canonical: Canonical
    owner: Ints
    local: Ints
    coupling_rows: Ints
    parameters: tuple[cp.Parameter, ...]


@dataclass(frozen=True)
class Lowering:
    """A model canonicalised once; ``evaluate`` reads the parameters and gives the matrices.

    templates: one an agents' structure or fleet. base: number of each party's first block.
    joint: couplings and model costs. wholes: fleets canonicalised as a whole.
    """

    model: Model
    templates: tuple[Template, ...]
    base: dict[str, int]
    blocks: int
    joint: _Joint | None
    wholes: tuple[tuple[AbstractParty, _Joint], ...]

    def evaluate(self) -> Lowered:
        """The matrices at the present values of the parameters.

        Raises:
            DataError: a parameter without a value, or one that is not finite.
            SeparabilityError: rows of a fleet tied together by a constraint of its own.
        """
        pieces = [self._template_blocks(template) for template in self.templates]
        for fleet, joint in self.wholes:
            done = self._cut(joint)
            if len(done.coupling):
                _name_tied_rows(fleet, self.base[fleet.name], self.model)
            pieces = distribute(pieces, done, joint.local, self.blocks).pieces
        couplings = Couplings(np.empty(0), np.empty(0), ())
        if self.joint is not None:
            done = self._cut(self.joint)
            pieces = attach_all(distribute(pieces, done, self.joint.local, self.blocks), self.blocks)
            couplings = self._couplings(done)
        names = [*self._names(), "operator"]
        stacks, conflicts, named = [], [], {}
        stack_of = np.zeros(self.blocks + 1, dtype=np.intp)
        position_of = np.zeros(self.blocks + 1, dtype=np.intp)
        for k, piece in enumerate(pieces):
            done_piece = presolve(piece, [names[b] for b in piece.block])
            stacks.append(done_piece.stack)
            conflicts.extend(done_piece.conflicts)
            stack_of[piece.block] = k
            position_of[piece.block] = np.arange(piece.size)
            for limit, (rows, sign) in done_piece.named.items():
                for i, block in enumerate(piece.block):
                    named[f"{names[block]}.{limit}"] = (k, i, rows, sign)
        return Lowered(
            Separable(tuple(stacks), couplings), stack_of, position_of, names, named, tuple(conflicts)
        )

    def values(self, lowered: Lowered, parts: Sequence[Floats]) -> dict[str, dict[str, Any]]:
        """Columns of the blocks as values under the user's names.

        Args:
            lowered: what ``evaluate`` gave.
            parts: columns of each stack, shape (N, n).
        """
        out: dict[str, dict[str, Any]] = {}
        for party in self.model.agents:
            blocks = self.base[party.name] + np.arange(party.size or 1)
            out[party.name] = {}
            spans = columns_of(party)
            stack = lowered.stack_of[blocks]
            for name, variable in party.variables.items():
                start, width = spans[name]
                rows = np.empty((len(blocks), width))
                for k in np.unique(stack):
                    at = stack == k
                    rows[at] = parts[k][lowered.position_of[blocks[at]], start : start + width]
                out[party.name][name] = shaped(variable, rows, party.size)
        return out

    def _names(self) -> Iterable[str]:
        for party in self.model.agents:
            yield from party.labels()

    def _template_blocks(self, template: Template) -> Blocks:
        raw = template.values()
        lower, upper = template.bounds()
        block = np.array([self.base[party.name] + row for party, row in template.members], dtype=np.intp)
        named = {name: rows for name, (rows, _) in template.named.items()}
        size, width = len(block), template.width
        return Blocks(
            block, template.user, raw.P, raw.q, raw.offset, raw.rows, raw.constant, template.canonical.zero,
            template.canonical.cones, lower, upper, template.groups(), named,
            Batch.empty(0, width, size), np.empty((size, 0), dtype=np.intp),
        )  # fmt: skip

    def _cut(self, joint: _Joint) -> Cut:
        read = [
            (p.id, read_parameter(p, "the couplings").ravel(order="F")[None, :]) for p in joint.parameters
        ]
        raw = joint.canonical.values(read, 1)
        return cut(joint.canonical, raw, joint.owner, joint.coupling_rows, joint.canonical.attribute_rows)

    def _couplings(self, done: Cut) -> Couplings:
        assert self.joint is not None
        at = {int(row): k for k, row in enumerate(done.coupling)}
        side = -done.constant[done.coupling]
        upper = np.where(done.equality, side, np.inf)
        infos = []
        for coupling in self.model.couplings:
            rows = self.joint.canonical.constraint_rows[coupling.constraint.id]
            linear = all(int(row) in at for row in rows)
            if linear:
                where = np.array([at[int(row)] for row in rows], dtype=np.intp)
                sign = 1.0 if done.equality[where].all() else -1.0
            else:
                where = np.empty(0, dtype=np.intp)
                sign = 1.0
            infos.append(
                CouplingInfo(
                    coupling.name, coupling.unit, coupling.shape if linear else (0,), where, sign,
                    price_sign(coupling.constraint) if linear else None, str(coupling.place),
                )
            )  # fmt: skip
        return Couplings(side, upper, tuple(infos))


def shaped(variable: cp.Variable, rows: Floats, size: int | None) -> Any:
    """Columns of one variable in its declared shape; a scalar becomes a float.

    Args:
        variable: as declared.
        rows: shape (N, columns of a row). size: N of a fleet, None for a single agent.
    """
    if size is None:
        flat = rows[0]
        if any(variable.attributes[key] for key in ("symmetric", "PSD", "NSD")):
            return np.asarray(recover_value_for_leaf(variable, flat[:, None], project=False))
        return float(flat[0]) if variable.shape == () else flat.reshape(variable.shape, order="F")
    inner = variable.shape[1:]
    backwards = rows.reshape((size, *inner[::-1]))
    return backwards.transpose(0, *range(len(inner), 0, -1)).copy()


def lower(model: Model) -> Lowering:
    """Canonicalises a model: one agent of each structure, one row of each fleet, the couplings once.

    Raises:
        CurvatureError: a cost, limit or coupling that is not convex by CVXPY's rules.
        DataError: a constant that is not finite.
        ModelError: a constraint kind that the compiler does not know.
    """
    base, count = {}, 0
    for party in model.agents:
        base[party.name] = count
        count += party.size or 1
    templates = lower_agents([party for party in model.agents if party.size is None])
    wholes: list[tuple[AbstractParty, _Joint]] = []
    for fleet in model.agents:
        if fleet.size is None:
            continue
        template = lower_fleet(fleet)
        if template is None:
            template = empty_fleet(fleet)
            costs = [cp.sum(cost.expression) for cost in fleet.costs]
            limits = [limit.constraint for limit in fleet.limits]
            wholes.append((fleet, _canonical_over(model, base, costs, limits, [])))
        templates.append(template)
    joint = None
    if model.couplings or model.costs:
        _check_joint(model)
        constraints = [coupling.constraint for coupling in model.couplings]
        joint = _canonical_over(model, base, [c.expression for c in model.costs], constraints, constraints)
    return Lowering(model, tuple(templates), base, count, joint, tuple(wholes))


def _canonical_over(
    model: Model, base: dict[str, int], costs: list[cp.Expression], constraints: list[cp.Constraint],
    couplings: list[cp.Constraint],
) -> _Joint:  # fmt: skip
    total: Any = sum(costs) if costs else cp.Constant(0.0)
    canonical = canonicalize(total, constraints)
    owner = np.full(canonical.width, _UNKNOWN, dtype=np.intp)
    local = np.full(canonical.width, -1, dtype=np.intp)
    starts = {party.name: columns_of(party) for party in model.agents}
    problem = cp.Problem(cp.Minimize(total), constraints)
    for variable in problem.variables():
        start, size = canonical.columns[variable.id]
        declared = model.owner(variable)
        first = starts[declared.party.name][declared.name][0]
        agents = declared.party.size or 1
        at = np.arange(size)
        owner[start : start + size] = base[declared.party.name] + at % agents
        local[start : start + size] = first + at // agents
    rows = [canonical.constraint_rows[c.id] for c in couplings]
    forced = np.concatenate(rows) if rows else np.empty(0, dtype=np.intp)
    return _Joint(canonical, owner, local, forced, tuple(problem.parameters()))


def _check_joint(model: Model) -> None:
    for cost in model.costs:
        if not cost.expression.is_convex():  # an expression is also DCP where it is concave
            raise CurvatureError(
                f"the model's cost at {cost.place} is {cost.expression.curvature.lower()}, expected convex by CVXPY's "
                "rules (DCP). Rewrite it with convex atoms."
            )
        finite_or_error(cost.expression, f"the model's cost at {cost.place}")
    for coupling in model.couplings:
        if not coupling.constraint.is_dcp():
            raise CurvatureError(
                f"{coupling} is not convex by CVXPY's rules (DCP): {coupling.constraint}. "
                "Expected convex <= concave, or affine == affine."
            )
        finite_or_error(coupling.constraint, str(coupling))


def _name_tied_rows(fleet: AbstractParty, base: int, model: Model) -> None:
    """Finds the statement of a fleet that ties rows together and raises."""
    bases = {party.name: 0 for party in model.agents} | {fleet.name: base}
    for statement in [*fleet.costs, *fleet.limits]:
        is_cost = isinstance(statement, Cost)
        costs = [cp.sum(statement.item)] if is_cost else []
        joint = _canonical_over(model, bases, costs, [] if is_cost else [statement.item], [])
        raw = joint.canonical.values([(p.id, np.ones((1, p.size))) for p in joint.parameters], 1)
        done = cut(joint.canonical, raw, joint.owner, joint.coupling_rows, joint.canonical.attribute_rows)
        if len(done.coupling):
            tied = np.unique(done.owner[done.matrix[done.coupling].indices])
            rows = [int(o) - base for o in tied if o >= 0]
            where = f"the cost at {statement.place}" if is_cost else str(statement)
            raise SeparabilityError(
                f"{fleet.name}: {where} ties rows {', '.join(map(str, rows[:4]))}{', ...' if rows[4:] else ''} of the fleet together, expected each "
                "row to use only its own row of the fleet's variables. What ties agents together belongs in "
                f"{'model.minimize(...)' if is_cost else 'model.couple(...)'}."
            )
    raise SeparabilityError(f"{fleet.name}: its statements tie rows together; use model.couple(...).")
