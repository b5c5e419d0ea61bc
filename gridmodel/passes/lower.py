"""The whole way from a declared model to stacks and coupling rows, and back to the user's names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.separable import CouplingInfo, Couplings, Separable
from gridmodel.ir.stack import Stack
from gridmodel.language.declared import AbstractParty
from gridmodel.language.model import Model
from gridmodel.language.price import price_sign
from gridmodel.passes.agents import lower_agents
from gridmodel.passes.blocks import Blocks, group_equal
from gridmodel.passes.cut import Cut
from gridmodel.passes.distribute import attach_all, distribute
from gridmodel.passes.fleets import empty_fleet, lower_fleet
from gridmodel.passes.joint import Joint, couplings_joint, fleet_joint, tied_rows, with_constants
from gridmodel.passes.links import links_of
from gridmodel.passes.presolve import Conflict, presolve
from gridmodel.passes.recover import limit_dual, shaped
from gridmodel.passes.template import Template, columns_of, limit_labels

__all__ = ["Lowered", "Lowering", "lower"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class Lowered:
    """The model as matrices at the parameters' present values, and where everything went.

    separable: stacks and coupling rows.
    stack_of, position_of: stack and place of each block. names: names of the blocks, the operator's last.
    limits: for each stack, {label of a named limit: (rows of A, sign of cvxpy's dual)}.
    conflicts: blocks found infeasible on the way.
    """

    separable: Separable
    stack_of: Ints
    position_of: Ints
    names: Sequence[str]
    limits: tuple[dict[str, tuple[Ints, float]], ...]
    conflicts: tuple[Conflict, ...]


@dataclass(frozen=True)
class Lowering:
    """A model canonicalised once; ``evaluate`` reads the parameters and gives the matrices.

    templates: one an agents' structure or fleet. base: number of each party's first block. blocks: their number.
    joint: couplings and model costs. wholes: fleets canonicalised as a whole.
    """

    model: Model
    templates: tuple[Template, ...]
    base: dict[str, int]
    blocks: int
    joint: Joint | None
    wholes: tuple[tuple[AbstractParty, Joint], ...]

    def evaluate(self) -> Lowered:
        """The matrices at the present values of the parameters.

        Raises:
            DataError: a parameter without a value, or one that is not finite.
            SeparabilityError: rows of a fleet tied together by a statement of its own.
        """
        pieces = [self._template_blocks(template) for template in self.templates]
        for fleet, whole in self.wholes:
            done = whole.cut()
            if len(done.coupling):
                raise tied_rows(self.model, self.base, fleet)
            pieces = distribute(pieces, done, whole.local, self.blocks, whole.named).pieces
        couplings = Couplings(np.empty(0), np.empty(0), ())
        if self.joint is not None:
            summed = self.joint.summed(self.base)
            done = with_constants(self.joint.cut(), summed)
            pieces = attach_all(distribute(pieces, done, self.joint.local, self.blocks), self.blocks, summed)
            couplings = self._couplings(self.joint, done)
        return self._finished(pieces, couplings)

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
            stack = lowered.stack_of[blocks]
            for name, (start, width) in columns_of(party).items():
                rows = np.empty((len(blocks), width))
                for k in np.unique(stack):
                    at = stack == k
                    rows[at] = parts[k][lowered.position_of[blocks[at]], start : start + width]
                out[party.name][name] = shaped(party.variables[name], rows, party.size)
        return out

    def duals(self, lowered: Lowered, nu: Sequence[Floats]) -> dict[str, Any]:
        """cvxpy's duals of named limits that are equations or inequalities, in the shapes that the user wrote.

        Args:
            lowered: what ``evaluate`` gave.
            nu: multipliers of the rows of A of each stack, shape (N, rows).

        Returns:
            {"agent.limit" or "fleet.limit": number or array}.
        """
        out: dict[str, Any] = {}
        for party in self.model.agents:
            blocks = self.base[party.name] + np.arange(party.size or 1)
            places = lowered.stack_of[blocks], lowered.position_of[blocks]
            for label, limit in zip(limit_labels(party), party.limits, strict=True):
                if label is None or not any(label in lowered.limits[k] for k in np.unique(places[0])):
                    continue
                shape = tuple(int(n) for n in limit.constraint.shape)
                flat = limit_dual(label, self._row_of_entries(party, label, shape), places, lowered.limits, nu)
                out[f"{party.name}.{label}"] = float(flat[0]) if shape == () else flat.reshape(shape, order="F")
        return out

    def _row_of_entries(self, party: AbstractParty, label: str, shape: tuple[int, ...]) -> Ints:
        """The row of the fleet (0 for a single agent) that each entry of a limit belongs to, column by column."""
        if party.size is None:
            return np.zeros(int(np.prod(shape)), dtype=np.intp)
        for fleet, whole in self.wholes:
            if fleet is party:
                return whole.cut().row_owner[whole.named[label]] - self.base[party.name]
        template = next(template for template in self.templates if template.parties[0] is party)
        axis = template.named[label].axis or 0
        rows = np.arange(party.size).reshape([-1 if k == axis else 1 for k in range(len(shape))])
        return np.broadcast_to(rows, shape).ravel(order="F")

    def _template_blocks(self, template: Template) -> Blocks:
        raw, canonical = template.values(), template.canonical
        lower, upper = template.bounds
        block = np.concatenate([self.base[party.name] + np.arange(party.size or 1) for party in template.parties])
        size = len(block)
        return Blocks(
            block, canonical.user, raw.P, raw.q, raw.offset, raw.rows, raw.constant, canonical.zero, canonical.cones,
            lower, upper, template.groups(), {label: limit.rows for label, limit in template.named.items()},
            Batch.empty(0, canonical.width, size), np.empty((size, 0), dtype=np.intp),
        )  # fmt: skip

    def _couplings(self, joint: Joint, done: Cut) -> Couplings:
        at = np.full(len(done.row_owner), -1, dtype=np.intp)
        at[done.coupling] = np.arange(len(done.coupling))
        side = -done.constant[done.coupling]
        infos = []
        for coupling in self.model.couplings:
            where = at[joint.canonical.constraint_rows[coupling.constraint.id]]
            # A cone has no rows of its own; what it needs is copied.
            linear = len(where) == coupling.size()
            sign = 1.0 if linear and done.equality[where].all() else -1.0
            infos.append(
                CouplingInfo(
                    coupling.name, coupling.unit, coupling.shape if linear else (0,), where, sign,
                    price_sign(coupling.constraint) if linear else None, str(coupling.place),
                )
            )  # fmt: skip
        return Couplings(side, np.where(done.equality, side, np.inf), tuple(infos))

    def _finished(self, pieces: list[Blocks], couplings: Couplings) -> Lowered:
        names = [*self._names(), "operator"]
        stacks: list[Stack] = []
        conflicts: list[Conflict] = []
        limits = []
        stack_of = np.zeros(self.blocks + 1, dtype=np.intp)
        position_of = np.zeros(self.blocks + 1, dtype=np.intp)
        for k, piece in enumerate(group_equal(pieces)):
            done = presolve(piece, [names[b] for b in piece.block])
            stacks.append(done.stack)
            conflicts.extend(done.conflicts)
            limits.append(done.named)
            stack_of[piece.block] = k
            position_of[piece.block] = np.arange(piece.size)
        separable = Separable(tuple(stacks), couplings, links_of(self.model.topology, stacks))
        return Lowered(separable, stack_of, position_of, names, tuple(limits), tuple(conflicts))

    def _names(self) -> Iterable[str]:
        for party in self.model.agents:
            yield from party.labels()


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
    wholes: list[tuple[AbstractParty, Joint]] = []
    for fleet in model.agents:
        if fleet.size is None:
            continue
        template = lower_fleet(fleet)
        if template is None:
            template = empty_fleet(fleet)
            wholes.append((fleet, fleet_joint(model, base, fleet)))
        templates.append(template)
    return Lowering(model, tuple(templates), base, count, couplings_joint(model, base), tuple(wholes))
