"""cvxpy's own canonicalisation of one problem, kept as matrices that are affine in the parameters."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np
import scipy.sparse as sp
from cvxpy.reductions.cvx_attr2constr import CvxAttr2Constr
from cvxpy.reductions.dcp2cone.cone_matrix_stuffing import ConeMatrixStuffing
from cvxpy.reductions.dcp2cone.dcp2cone import Dcp2Cone
from numpy.typing import NDArray

from gridmodel.ir.batch import Batch
from gridmodel.ir.cones import Cones
from gridmodel.language.values import without_values
from gridmodel.passes.affine import AffineMatrix, AffineVector, ParameterSource, affine_matrix
from gridmodel.passes.conerows import cone_rows

__all__ = ["Canonical", "RawData", "canonicalize", "variable_columns"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


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

    @property
    def finite(self) -> bool:
        """Whether all numbers are; a division by zero or an overflow shows here."""
        parts = (self.P.data, self.q, self.offset, self.rows.data, self.constant)
        with np.errstate(invalid="ignore", over="ignore"):
            # One number tells for nearly all data; only where it is not finite are all looked at.
            return all(np.isfinite(part.sum()) or np.isfinite(part).all() for part in parts)


@dataclass(frozen=True)
class Canonical:
    """One canonicalised problem; its columns are the given variables in order, then auxiliaries.

    columns: {variable id: (first column, number of columns)} of the given variables.
    user, width: columns of the given variables, and of all.
    lower, upper: bounds of auxiliary columns, shape (width,), infinite elsewhere.
    zero: number of equations; cones: the rest of the rows in order.
    constraint_rows: {constraint id: its rows, one an entry, column by column}, for equations and inequalities.
    row_maker: (rows,) index into ``births`` of the call that made the row, -1 for rows of no such call.
    births: for each canonicalised atom, the auxiliary columns that it brought into being.
    attribute_rows: rows that stem from attributes (PSD) of the given variables.
    """

    columns: dict[int, tuple[int, int]]
    user: int
    width: int
    lower: Floats
    upper: Floats
    zero: int
    cones: Cones
    constraint_rows: dict[int, Ints]
    row_maker: Ints
    births: tuple[Ints, ...]
    attribute_rows: Ints
    P: AffineMatrix
    q: AffineVector
    rows: AffineMatrix
    constant: AffineVector
    parameters: dict[int, tuple[int, int]]

    def values(self, sources: Sequence[ParameterSource], size: int) -> RawData:
        """The data for N sets of parameter values, by one sparse product.

        Args:
            sources: of all parameters.
            size: N.
        """
        read = {source.parameter: source.read() for source in sources if source.parameter in self.parameters}
        theta = np.ones((self.constant.map.shape[1], max((len(values) for values in read.values()), default=1)))
        for parameter, (start, width) in self.parameters.items():
            theta[start : start + width] = read[parameter].T
        linear = np.broadcast_to(self.q.at(theta), (size, self.width + 1))
        return RawData(
            self.P.at(theta, size),
            linear[:, :-1].copy(),
            linear[:, -1].copy(),
            self.rows.at(theta, size),
            np.broadcast_to(self.constant.at(theta), (size, self.rows.shape[0])),
        )


class _OwnedDcp2Cone(Dcp2Cone):  # type: ignore[misc]  # cvxpy is untyped
    """Records which constraints each canonicalised atom adds and which auxiliary variables it creates."""

    def __init__(self) -> None:
        super().__init__(quad_obj=True)
        self.born: list[tuple[list[int], set[int]]] = []

    def canonicalize_expr(self, expr: Any, args: Any, affine_above: bool) -> Any:
        result, added = super().canonicalize_expr(expr, args, affine_above)
        if added:
            known = {v.id for arg in args for v in arg.variables()}
            fresh = {v.id for item in (result, *added) for v in item.variables()} - known
            self.born.append(([c.id for c in added], fresh))
        return result, added


def variable_columns(variable: cp.Variable) -> int:
    """Columns that a variable takes in the matrices."""
    if any(variable.attributes[key] for key in ("symmetric", "PSD", "NSD")):
        order = variable.shape[-1]
        return int(variable.size // order**2 * (order * (order + 1) // 2))
    return int(variable.size)


def canonicalize(
    cost: cp.Expression, constraints: Sequence[cp.Constraint], variables: Sequence[cp.Variable]
) -> Canonical:
    """Runs cvxpy's Dcp2Cone, CvxAttr2Constr and ConeMatrixStuffing, without any solver's formatting.

    Args:
        cost, constraints: convex, and affine in their parameters (DPP).
        variables: the user's, in the order that their columns shall have. Their bounds are ignored (the compiler
            reads them from the variables), as are those of other variables that cost and constraints bring along.

    Raises:
        ModelError: a constraint kind that gridmodel does not know.
    """
    problem = _problem(cost, constraints, variables)
    came_in = {v.id for v in problem.variables()}
    reduction = _OwnedDcp2Cone()
    with without_values(problem.variables()):
        conic, inverse = reduction.apply(problem)
    kept = {c.id for c in conic.constraints}
    attributes = CvxAttr2Constr(reduce_bounds=False)
    plain, _ = attributes.apply(conic)
    with warnings.catch_warnings():
        # cvxpy says which of its backends it takes for atoms that the default one lacks.
        warnings.filterwarnings("ignore", message=".*(CPP|SCIPY) backend.*")
        program, _ = ConeMatrixStuffing(quad_obj=True).apply(plain)
    renamed = {old.id: new.id for old, new in attributes._variables.items()}

    columns, user, width, place = _places(program, variables)
    lower, upper = _auxiliary_bounds(program, came_in, width, place)
    births, maker_of = _births(reduction.born, program, renamed, place, user)
    spans, start = {}, 0
    row_maker = np.full(program.constr_size, -1, dtype=np.intp)
    from_attributes = np.zeros(program.constr_size, dtype=bool)
    for constraint in program.constraints:
        spans[constraint.id] = np.arange(start, start + constraint.size)
        start += constraint.size
        row_maker[spans[constraint.id]] = maker_of.get(constraint.id, -1)
        given = constraint.id in kept or not {v.id for v in constraint.variables()} <= came_in
        from_attributes[spans[constraint.id]] = not given
    ours = cone_rows(program.constraints)
    # Equations and inequalities keep their places; a cone's rows have no meaning one by one.
    plain_rows = ours.zero + ours.cones.nonneg
    rows_of = {c.id: spans.get(inverse.cons_id_map[c.id], np.empty(0, dtype=np.intp)) for c in problem.constraints}
    P, q, rows, constant = _matrices(program, width, place, ours.order)
    return Canonical(
        columns, user, width, lower, upper, ours.zero, ours.cones,
        {key: rows[rows < plain_rows] for key, rows in rows_of.items()},
        row_maker[ours.source], births, np.flatnonzero(from_attributes[ours.source]), P, q, rows, constant,
        {p: (int(program.param_id_to_col[p]), int(program.param_id_to_size[p])) for p in program.id_to_param},
    )  # fmt: skip


def _auxiliary_bounds(program: Any, came_in: set[int], width: int, place: Ints) -> tuple[Floats, Floats]:
    """Bounds of the columns that cvxpy added."""
    lower, upper = np.full(width, -np.inf), np.full(width, np.inf)
    for name, variable in program.id_to_var.items():
        if name not in came_in:
            start = int(program.var_id_to_col[name])
            span = slice(start, start + variable.size)
            for side, given in ((lower, program.lower_bounds), (upper, program.upper_bounds)):
                if given is not None:
                    side[place[span]] = given[span]
    return lower, upper


def _problem(cost: cp.Expression, constraints: Sequence[cp.Constraint], variables: Sequence[cp.Variable]) -> cp.Problem:
    """The problem to canonicalise: it holds every variable with an attribute, and at least one variable."""
    used = {v.id for item in (cost, *constraints) for v in item.variables()}
    absent = [v for v in variables if v.id not in used and (v.is_psd() or v.attributes["NSD"])]
    if not used and not absent:
        absent = list(variables[:1]) or [cp.Variable(bounds=[0, 0])]
    for variable in absent:
        cost = cost + 0.0 * cp.sum(variable)
    with warnings.catch_warnings():
        # cvxpy advises against many small expressions; the model is the user's choice, and this is done once.
        warnings.filterwarnings("ignore", message=".*too many subexpressions.*")
        return cp.Problem(cp.Minimize(cost), list(constraints))


def _places(program: Any, variables: Sequence[cp.Variable]) -> tuple[dict[int, tuple[int, int]], int, int, Ints]:
    """Columns of the given variables, their number, the number of all, and the place of each of cvxpy's columns."""
    columns: dict[int, tuple[int, int]] = {}
    start = 0
    for variable in variables:
        columns[variable.id] = (start, variable_columns(variable))
        start += columns[variable.id][1]
    place = np.full(int(program.x.size), -1, dtype=np.intp)
    for name, (first, size) in columns.items():
        if name in program.var_id_to_col:
            at = int(program.var_id_to_col[name])
            place[at : at + size] = first + np.arange(size)
    others = np.flatnonzero(place < 0)
    place[others] = start + np.arange(len(others))
    return columns, start, start + len(others), place


def _births(
    born: list[tuple[list[int], set[int]]], program: Any, renamed: dict[int, int], place: Ints, user: int
) -> tuple[tuple[Ints, ...], dict[int, int]]:
    """Auxiliary columns of each call, and the call of each constraint."""
    births: list[Ints] = []
    maker_of: dict[int, int] = {}
    for constraints, fresh in born:
        spans = [np.empty(0, dtype=np.intp)]
        for variable in fresh:
            name = renamed.get(variable, variable)
            if name in program.var_id_to_col:
                start = int(program.var_id_to_col[name])
                spans.append(place[start : start + program.id_to_var[name].size])
        columns = np.concatenate(spans)
        maker_of.update(dict.fromkeys(constraints, len(births)))
        births.append(columns[columns >= user])
    return tuple(births), maker_of


def _matrices(
    program: Any, width: int, place: Ints, order: sp.csr_array | None
) -> tuple[AffineMatrix, AffineVector, AffineMatrix, AffineVector]:
    """P, q with the offset last, the rows and their constants; columns and rows in our order."""
    total, theta = int(program.constr_size), int(program.total_param_size) + 1
    source = program.q.tocsr()
    wide = np.concatenate([place, [width]])
    back = sp.csr_array((np.ones(len(wide)), (wide, np.arange(len(wide)))), shape=(width + 1, len(wide)))
    q = AffineVector(sp.csr_array(back @ source))
    row, col, entries = _entries(program.reduced_P, theta)
    P = affine_matrix((width, width), place[row], place[col], entries)
    row, col, entries = _entries(program.reduced_A, theta)
    count = total
    if order is not None:
        count = order.shape[0]
        row, col, entries = _reordered(order, row, col, entries)
    last = col == len(place)
    to_row = sp.csr_array((np.ones(last.sum()), (row[last], np.flatnonzero(last))), shape=(count, len(row)))
    constant = AffineVector(sp.csr_array(to_row @ entries))
    rows = affine_matrix((count, width), row[~last], place[col[~last]], entries[np.flatnonzero(~last)])
    return P, q, rows, constant


def _entries(reduced: Any, theta: int) -> tuple[Ints, Ints, sp.csr_array]:
    """Positions and coefficients of a matrix as cvxpy keeps it, the last column being the constant."""
    reduced.cache()
    if reduced.problem_data_index is None or reduced.reduced_mat is None:
        none = np.empty(0, dtype=np.intp)
        return none, none, sp.csr_array((0, theta))
    indices, indptr, _ = reduced.problem_data_index
    col = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return np.asarray(indices, dtype=np.intp), col.astype(np.intp), sp.csr_array(reduced.reduced_mat)


def _reordered(order: sp.csr_array, row: Ints, col: Ints, entries: sp.csr_array) -> tuple[Ints, Ints, sp.csr_array]:
    """Entries of order @ matrix, one for each pair of a term of ``order`` and an entry of the row that it takes."""
    coo = order.tocoo()
    by_source = np.argsort(row, kind="stable")
    first = np.searchsorted(row[by_source], coo.col, side="left")
    repeat = np.searchsorted(row[by_source], coo.col, side="right") - first
    term = np.repeat(np.arange(len(repeat)), repeat)
    within = np.arange(len(term)) - np.repeat(np.cumsum(repeat) - repeat, repeat)
    chosen = by_source[first[term] + within]
    weight = sp.diags_array(coo.data[term], format="csr")
    return coo.row[term].astype(np.intp), col[chosen], sp.csr_array(weight @ entries[chosen])
