"""cvxpy's own canonicalisation of one problem, kept as matrices that are affine in the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from cvxpy.constraints import PSD, SOC, ExpCone, NonNeg, PowCone3D, Zero
from cvxpy.reductions.cvx_attr2constr import CvxAttr2Constr
from cvxpy.reductions.dcp2cone.cone_matrix_stuffing import ConeMatrixStuffing
from cvxpy.reductions.dcp2cone.dcp2cone import Dcp2Cone
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.ir.batch import Batch
from gridmodel.ir.cones import Cones
from gridmodel.language.values import without_values

__all__ = ["Canonical", "RawData", "canonicalize"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True)
class RawData:
    """Values of N problems of one canonical form.

    minimise 1/2 x'P x + q'x + offset  s.t.  rows x + constant in K, rows ordered zero, nonneg, soc, psd, exp, pow3d.

    P: (n, n). q: (N, n). offset: (N,). rows: (r, n). constant: (N, r).
    """

    P: Batch
    q: Floats
    offset: Floats
    rows: Batch
    constant: Floats


@dataclass(frozen=True)
class Canonical:
    """One canonicalised problem.

    columns: {variable id: (first column, number of columns)} of the variables that came in.
    width: number of columns; the others are auxiliary.
    lower, upper: bounds of auxiliary columns, shape (width,), infinite elsewhere.
    zero: number of equations; cones: the rest of the rows in order.
    constraint_rows: {constraint id: its rows, one an entry}, for equations and inequalities that came in.
    row_maker: (rows,) index into ``births`` of the call that made the row, -1 for rows of no such call.
    births: for each canonicalised atom, the auxiliary columns that it brought into being.
    attribute_rows: rows that stem from attributes (PSD) of variables that came in.
    offset: the whole cost where the problem has no variable; ``program`` is None then.
    """

    program: Any
    columns: dict[int, tuple[int, int]]
    width: int
    lower: Floats
    upper: Floats
    zero: int
    cones: Cones
    constraint_rows: dict[int, Ints]
    row_maker: Ints
    births: tuple[Ints, ...]
    attribute_rows: Ints
    order: sp.csr_array | None
    offset: float = 0.0

    def values(self, parameters: Sequence[tuple[int, Floats]], size: int) -> RawData:
        """The data for N sets of parameter values, by one sparse product.

        Args:
            parameters: pairs (parameter id, values of shape (N, size of the parameter), column by column).
            size: N.
        """
        program = self.program
        if program is None:
            none, empty = np.empty((size, 0)), Batch.empty(0, 0, size)
            return RawData(empty, none, np.full(size, self.offset), empty, none)
        if program.total_param_size:
            stacked = np.ones((program.total_param_size + 1, size))
            given = dict(parameters)
            for parameter, column in program.param_id_to_col.items():
                if parameter in given:
                    width = program.param_id_to_size[parameter]
                    stacked[column : column + width] = given[parameter].T
        else:
            stacked = np.ones((1, 1))
        n, total = self.width, int(program.constr_size)
        program.reduced_P.cache()
        program.reduced_A.cache()
        P = _matrices(program.reduced_P, stacked, (n, n), size)
        joined = _matrices(program.reduced_A, stacked, (total, n + 1), size)
        linear = np.asarray(program.q @ stacked)
        linear = np.broadcast_to(linear.T, (size, n + 1))
        constant = np.zeros((size, total))
        last = joined.col == n
        constant[:, joined.row[last]] = joined.data[:, last]
        rows = Batch((total, n), joined.row[~last], joined.col[~last], joined.data[:, ~last], size)
        if self.order is not None:
            rows, constant = _reorder(self.order, rows, constant)
        return RawData(P, linear[:, :n].copy(), linear[:, n].copy(), rows, constant)


class _OwnedDcp2Cone(Dcp2Cone):  # type: ignore[misc]  # cvxpy is untyped
    """Records which constraints each canonicalised atom adds and which auxiliary variables it creates."""

    def __init__(self) -> None:
        super().__init__(quad_obj=True)
        self.born: list[tuple[list[int], set[int]]] = []

    def canonicalize_expr(self, expr: Any, args: Any, affine_above: bool) -> Any:
        result, added = super().canonicalize_expr(expr, args, affine_above)
        known = {v.id for arg in args for v in arg.variables()}
        items = [result, *added] if added else []
        fresh = {v.id for item in items for v in item.variables()} - known
        if added or fresh:
            self.born.append(([c.id for c in added], fresh))
        return result, added


def canonicalize(cost: cp.Expression, constraints: Sequence[cp.Constraint]) -> Canonical:
    """Runs cvxpy's Dcp2Cone, CvxAttr2Constr and ConeMatrixStuffing, without any solver's formatting.

    Bounds of the variables that come in are ignored: the compiler reads them from the variables.

    Raises:
        ModelError: a constraint kind that gridmodel does not know.
    """
    problem = cp.Problem(cp.Minimize(cost), list(constraints))
    came_in = {v.id for v in problem.variables()}
    if not came_in:
        return _constant(cost, constraints)
    reduction = _OwnedDcp2Cone()
    with without_values(problem.variables()):
        conic, inverse = reduction.apply(problem)
    kept = {c.id for c in conic.constraints}
    attributes = CvxAttr2Constr(reduce_bounds=False)
    plain, _ = attributes.apply(conic)
    program, _ = ConeMatrixStuffing(quad_obj=True).apply(plain)
    renamed = {old.id: new.id for old, new in attributes._variables.items()}

    width = int(program.x.size)
    columns = {
        v: (int(program.var_id_to_col[v]), int(program.id_to_var[v].size)) for v in came_in if v in program.var_id_to_col
    }
    lower, upper = np.full(width, -np.inf), np.full(width, np.inf)
    aux = np.ones(width, dtype=bool)
    for start, size in columns.values():
        aux[start : start + size] = False
    if program.lower_bounds is not None:
        lower[aux] = program.lower_bounds[aux]
    if program.upper_bounds is not None:
        upper[aux] = program.upper_bounds[aux]

    births, maker_of = _births(reduction.born, program, renamed, aux)
    spans, start = {}, 0
    row_maker = np.full(program.constr_size, -1, dtype=np.intp)
    from_attributes = np.zeros(program.constr_size, dtype=bool)
    for constraint in program.constraints:
        span = slice(start, start + constraint.size)
        spans[constraint.id] = span
        row_maker[span] = maker_of.get(constraint.id, -1)
        from_attributes[span] = constraint.id not in kept and {v.id for v in constraint.variables()} <= came_in
        start = span.stop
    order, cones, zero = _row_order(program)
    rows_of = {}
    for c in problem.constraints:
        span = spans.get(inverse.cons_id_map[c.id], slice(0, 0))
        rows_of[c.id] = np.arange(span.start, span.stop)
    if order is not None:
        # Each row of the reordered form inherits from its first source row.
        first = np.array([order.indices[order.indptr[i]] for i in range(order.shape[0])], dtype=np.intp)
        row_maker, from_attributes = row_maker[first], from_attributes[first]
        position = {int(k): i for i, k in reversed(list(enumerate(first)))}
        rows_of = {k: np.array([position.get(int(r), -1) for r in rows]) for k, rows in rows_of.items()}
        rows_of = {k: rows[rows >= 0] for k, rows in rows_of.items()}
    return Canonical(
        program, columns, width, lower, upper, zero, cones, rows_of, row_maker, births,
        np.flatnonzero(from_attributes), order,
    )  # fmt: skip


def _constant(cost: cp.Expression, constraints: Sequence[cp.Constraint]) -> Canonical:
    """A problem without variables: its constraints have been refused before, its cost is a number."""
    none, nobody = np.empty(0), np.empty(0, dtype=np.intp)
    rows = {c.id: nobody for c in constraints}
    offset = float(np.sum(cost.value))
    return Canonical(None, {}, 0, none, none, 0, Cones(), rows, nobody, (), nobody, None, offset)


def _births(
    born: list[tuple[list[int], set[int]]], program: Any, renamed: dict[int, int], aux: NDArray[np.bool_]
) -> tuple[tuple[Ints, ...], dict[int, int]]:
    births: list[Ints] = []
    maker_of: dict[int, int] = {}
    for constraints, fresh in born:
        spans = []
        for variable in fresh:
            name = renamed.get(variable, variable)
            if name in program.var_id_to_col:
                start = program.var_id_to_col[name]
                spans.append(np.arange(start, start + program.id_to_var[name].size))
        columns = np.concatenate(spans) if spans else np.empty(0, dtype=np.intp)
        for constraint in constraints:
            maker_of[constraint] = len(births)
        births.append(columns[aux[columns]])
    return tuple(births), maker_of


def _matrices(reduced: Any, stacked: Floats, shape: tuple[int, int], size: int) -> Batch:
    if reduced.problem_data_index is None or reduced.reduced_mat is None:
        return Batch.empty(shape[0], shape[1], size)
    indices, indptr, _ = reduced.problem_data_index
    data = np.asarray((reduced.reduced_mat @ stacked).T)
    col = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return Batch.build(shape, np.asarray(indices, dtype=np.intp), col.astype(np.intp), data, size)


def _row_order(program: Any) -> tuple[sp.csr_array | None, Cones, int]:
    """A map from cvxpy's rows to ours, None where they are equal; the cones; the number of equations."""
    zero = nonneg = 0
    soc: list[int] = []
    psd: list[int] = []
    exp = 0
    pow3d: list[float] = []
    pick: list[tuple[Ints, Ints, Floats]] = []
    out = start = 0
    plain = True

    def take(rows: Any, values: Any = None, at: Any = None, count: int | None = None) -> None:
        nonlocal out
        rows = np.asarray(rows, dtype=np.intp)
        place = np.arange(len(rows)) if at is None else np.asarray(at)
        pick.append((out + place, start + rows, np.ones(len(rows)) if values is None else np.asarray(values)))
        out += len(rows) if count is None else count

    for constraint in program.constraints:
        size = constraint.size
        if isinstance(constraint, Zero):
            zero += size
            take(np.arange(size))
        elif isinstance(constraint, NonNeg):
            nonneg += size
            take(np.arange(size))
        elif isinstance(constraint, SOC):
            plain = False
            count = constraint.args[0].size
            width = constraint.args[1].size // count
            for k in range(count):
                take(np.concatenate([[k], count + k * width + np.arange(width)]))
                soc.append(width + 1)
        elif isinstance(constraint, PSD):
            plain = False
            order = constraint.args[0].shape[0]
            for k in range(size // order**2):
                _take_triangle(take, order, k * order**2)
                psd.append(order)
        elif isinstance(constraint, ExpCone):
            plain = False
            count = size // 3
            take(np.arange(size).reshape(3, count).T.ravel())
            exp += count
        elif isinstance(constraint, PowCone3D):
            plain = False
            count = size // 3
            take(np.arange(size).reshape(3, count).T.ravel())
            alpha = np.asarray(constraint.alpha.value, dtype=float).ravel(order="F")
            pow3d.extend(float(a) for a in np.broadcast_to(alpha, (count,)))
        else:
            raise ModelError(
                f"a constraint of kind {type(constraint).__name__} is not supported by the compiler; "
                "solve the model with method='central', or rewrite it with second-order, semidefinite, exponential "
                "or 3-d power cones."
            )
        start += size
    cones = Cones(nonneg, tuple(soc), tuple(psd), exp, tuple(pow3d))
    if plain:
        return None, cones, zero
    rows, cols, values = (np.concatenate(parts) for parts in zip(*pick, strict=True))
    return sp.csr_array((values, (rows, cols)), shape=(out, start)), cones, zero


def _take_triangle(take: Any, order: int, start: int) -> None:
    """Upper triangle by columns of a matrix that cvxpy does not promise to be symmetric."""
    col, row = np.tril_indices(order)
    off = row != col
    first, second = start + row + order * col, start + col + order * row
    at = np.arange(len(row))
    half = np.sqrt(0.5)
    take(
        np.concatenate([first, second[off]]),
        np.concatenate([np.where(off, half, 1.0), np.full(off.sum(), half)]),
        np.concatenate([at, at[off]]),
        len(row),
    )


def _reorder(order: sp.csr_array, rows: Batch, constant: Floats) -> tuple[Batch, Floats]:
    count, width = order.shape[0], rows.shape[1]
    coo = order.tocoo()
    by_source = np.argsort(rows.row, kind="stable")
    first = np.searchsorted(rows.row[by_source], coo.col, side="left")
    last = np.searchsorted(rows.row[by_source], coo.col, side="right")
    repeat = last - first
    entry = np.repeat(np.arange(len(repeat)), repeat)
    within = np.arange(len(entry)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    source = by_source[first[entry] + within]
    new = Batch.build(
        (count, width), coo.row[entry].astype(np.intp), rows.col[source], rows.data[:, source] * coo.data[entry], rows.size
    )
    return new, np.asarray((order @ constant.T).T)
