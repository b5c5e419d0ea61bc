"""A feeder of more ports than K is formed for: the same answers from sparse factors, and what they cannot say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from gridmodel.errors import DataError, ModelError, NotApplicableError
from gridmodel.grid.assemble import assemble
from gridmodel.grid.dss.read import read_dss
from gridmodel.grid.elements import Bus
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.flow.forms import form_of, injections_of
from gridmodel.grid.flow.linear import linear_flow
from gridmodel.grid.flow.port_form import columns, port_form
from gridmodel.grid.flow.solve import solve
from gridmodel.grid.newton import newton
from gridmodel.grid.system import NodeSystem
from tests.grid.references import feeder

COUNT = 360


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Feeder:
    """A tree of 360 three-phase buses, each with a transformer to a bus with a load a phase."""
    rng = np.random.default_rng(0)
    lines = [
        "clear\nnew circuit.large basekv=12.47 pu=1.03",
        "new linecode.c nphases=3 r1=.2 x1=.4 r0=.5 x0=1.2 units=km",
    ]
    for k in range(COUNT):
        above = "sourcebus" if k < 3 else f"b{rng.integers(max(0, k - 40), k)}"
        lines.append(f"new line.l{k} bus1={above} bus2=b{k} linecode=c length=.1 units=km")
        lines.append(f"new transformer.t{k} buses=[b{k} s{k}] conns=[delta wye] kvs=[12.47 .4] kvas=[50 50] xhl=4")
        for phase in (1, 2, 3):
            kw = rng.uniform(1, 4)
            lines.append(f"new load.q{k}_{phase} bus1=s{k}.{phase} phases=1 kv=.23 kw={kw} pf=.95 vminpu=.7 vmaxpu=1.3")
    path = tmp_path_factory.mktemp("large") / "large.dss"
    path.write_text("\n".join(lines))
    return read_dss(path)


def test_it_is_newtons_solution_in_every_scenario(large: Feeder) -> None:
    form = form_of(large)
    assert form.K is None
    factors = np.random.default_rng(1).uniform(0.3, 1.2, (20, len(large.loads)))
    flow = large.load_flow(factors)
    assert flow.converged.all()
    for k in (0, 7, 19):
        s = factors[k] * np.array([load.s for load in large.loads])
        assert np.abs(newton(large, s).v / large.base - flow.v[k]).max() < 1e-7
    assert np.abs(flow.v[3] - large.load_flow(factors[3:4]).v[0]).max() < 1e-12


def test_sparse_and_dense_forms_agree(large: Feeder) -> None:
    system, injections = assemble(large), injections_of(large)
    sparse, dense = port_form(system, injections), port_form(system, injections, dense=5000)
    s = np.repeat(injections.merged.s[None], 3, axis=0) * np.array([[0.2], [1.0], [1.4]])
    one, other = (solve(form, s, 1e-10).points for form in (sparse, dense))
    assert np.abs(one.v - other.v).max() < 1e-9
    assert np.abs(sparse.nodes(one.i) - dense.nodes(one.i)).max() < 1e-5
    assert np.abs(sparse.nodes_of(one.i.T) - dense.nodes_of(one.i.T)).max() < 1e-5


def test_a_certificate_is_refused(large: Feeder) -> None:
    with pytest.raises(NotApplicableError, match=r"needs K over all 1080 ports; build the form with port_form"):
        _ = large.load_flow().certificate


def test_columns_do_not_depend_on_how_many_there_are(large: Feeder) -> None:
    factors = form_of(large).factors
    right = np.random.default_rng(2).normal(size=(factors.shape[0], 13)) + 0j
    for k in (0, 8, 12):
        assert columns(factors, right)[:, k] == pytest.approx(factors.solve(right[:, k]), rel=1e-12)


@pytest.mark.parametrize("kind", ["taylor", "fixed-point"])
def test_some_columns_of_a_linear_model(large: Feeder, kind: str) -> None:
    for net, of in ((large, [5, 3, 900]), (feeder("ieee13"), np.array([2, 0]))):
        some = linear_flow(net, kind, of=of)  # type: ignore[arg-type]
        assert some.by_p.shape == (len(net.nodes), len(of))
        assert some.s0.tolist() == [net.loads[k].s for k in of]
        h = 1e3
        if kind == "taylor":
            for column, k in enumerate(of):
                names = net.loads[int(k)].name
                ends = [net.load_flow({names: net.loads[int(k)].s + x}, tolerance=1e-12).v for x in (h, -h)]
                slope = (ends[0] - ends[1]) / (2 * h)
                assert np.abs(slope - some.by_p[:, column]).max() < 1e-4 * np.abs(slope).max()
    whole = linear_flow(feeder("ieee13"), kind)  # type: ignore[arg-type]
    assert np.abs(whole.by_q[:, [2, 0]] - some.by_q).max() < 1e-12 * np.abs(whole.by_q).max()


def test_positions_that_are_none() -> None:
    for of in ([99], [-1], [0.5], [[0, 1]]):
        with pytest.raises(ModelError, match="expected positions from 0 to 14"):
            linear_flow(feeder("ieee13"), of=of)  # type: ignore[arg-type]


def test_a_part_that_nothing_ties_down_is_named() -> None:
    buses = tuple(Bus(name, (1,), 1.0) for name in "abc")
    Y = sp.csc_array(np.array([[1, 0, 0], [0, 1, -1], [0, -1, 1]], dtype=np.complex128))
    net = Feeder("loose", 60.0, buses, ())
    system = NodeSystem(net.nodes, net.base, Y, np.ones(3, dtype=np.complex128), np.ones(3, dtype=np.bool_))
    with pytest.raises(DataError, match=r"the voltage of node [bc]\.1 is not determined: nothing ties its part"):
        port_form(system, injections_of(net))


def test_a_load_at_the_ground_and_files_of_all_codings(tmp_path: Path) -> None:
    text = "clear\nnew circuit.c basekv=12.47\nnew line.straße bus1=sourcebus bus2=b length=1\n"
    text += "new line.strasse bus1=b bus2=c length=1\nnew load.nichts bus1=b.0 phases=1 kv=7.2 kw=3\n"
    read = []
    for coding in ("utf-8", "utf-8-sig", "latin-1", "utf-16"):
        path = tmp_path / f"{coding}.dss"
        path.write_text(text, encoding=coding)
        read.append(read_dss(path))
    assert all(net.lines[0].name == "straße" for net in read)
    flow = read[0].load_flow()
    assert flow.converged
    assert any("between a node and itself" in note for note in read[0].notes)
