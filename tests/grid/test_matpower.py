"""The reader of MATPOWER cases: what it understands and what it keeps."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from gridmodel.errors import ModelError
from gridmodel.grid.network import Network
from gridmodel.grid.read import read_network
from tests.grid.case import THREE, changed, write

DATA = Path(__file__).parents[2] / "models" / "data"


def same(a: Network, b: Network) -> bool:
    parts = [(getattr(a, part), getattr(b, part)) for part in ("buses", "branches", "generators", "costs")]
    pairs = [(vars(one)[key], vars(two)[key]) for one, two in parts for key in vars(one)]
    return a.base_mva == b.base_mva and all(np.array_equal(one, two) for one, two in pairs)


def test_columns_and_units(tmp_path: Path) -> None:
    line = "10\t30\t0.01\t0.2\t0.3\t90\t80\t0\t0.95\t-6\t1\t-20\t360;"
    net = read_network(write(tmp_path, changed(("10\t30\t0.01\t0.2\t0\t90\t0\t0\t0\t0\t1\t-30\t30;", line))))
    assert (net.name, net.source, net.base_mva) == ("case", "case.m", 100.0)
    assert net.buses.number.tolist() == [10, 20, 30]
    assert net.buses.kind.tolist() == [3, 2, 1]
    assert net.buses.p_load.tolist() == [0, 50, 100]
    assert net.buses.q_load.tolist() == [0, 10, 30]
    assert net.buses.g_shunt.tolist() == [0, 0, 2]
    assert net.buses.area.tolist() == [1, 1, 2]
    assert net.generators.bus.tolist() == [0, 1]
    assert (net.generators.p_min.tolist(), net.generators.p_max.tolist()) == ([0, 10], [150, 120])
    assert (net.generators.q_min.tolist(), net.generators.q_max.tolist()) == ([-30, -30], [30, 30])
    assert net.costs.quadratic.tolist() == [0.01, 0.02]
    assert net.costs.total(np.array([100.0, 50.0])) == pytest.approx(100 + 1000 + 5 + 50 + 1000 + 7)
    k = net.branches
    assert (k.start[1], k.end[1], k.r[1], k.x[1], k.b[1], k.tap[1]) == (0, 2, 0.01, 0.2, 0.3, 0.95)
    assert (k.rate_a[1], k.rate_b[1], k.rate_c[1]) == (90, 80, np.inf)
    assert k.shift[1] == pytest.approx(np.radians(-6))
    assert (k.angle_min[1], k.angle_max[1]) == (pytest.approx(np.radians(-20)), np.inf)
    assert k.tap[0] == 1


def test_graph_and_checks(tmp_path: Path) -> None:
    parallel = THREE.replace("];\n", "];\n").rstrip()[:-2] + "\t20\t30\t0.01\t0.3\t0\t0\t0\t0\t0\t0\t1\t0\t0;\n];\n"
    net = read_network(write(tmp_path, parallel))
    graph = net.graph
    assert sorted(graph) == [10, 20, 30]
    assert graph.number_of_edges(20, 30) == 2
    assert graph.edges[20, 30, 3] == {"x": 0.3, "rate": np.inf}
    assert nx.is_connected(graph)
    assert net.reference.tolist() == [0]
    assert net.isolated.size == 0
    assert [island.tolist() for island in net.islands] == [[0, 1, 2]]
    assert net.branches.angle_min[3] == -np.inf  # zeros mean no limit


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mpc.bus = [\n", "mpc.bus = [ % numbers; of ] buses\n\n% 1 2 3;\n"),
        ("\t10\t3\t0\t0\t0\t0", "  10, 3 ,0, 0.0 0e3 -0 ..., a continuation\n "),
        ("1\t100\t1\t150\t0;\n", "1\t100\t1\t1.5E+2\t0\n"),
        ("1\t100\t1\t150\t0;", "1\t100\t1\t1.5d2\t0;"),
        ("mpc.gen = [\n\t10", "mpc.gen = [10"),
        ("0.02\t20\t7;\n];", "0.02\t20\t7];"),
        ("150\t0;\n\t20", "150\t0; 20"),
        ("mpc.baseMVA = 100;", "mpc.baseMVA = 50; mpc.baseMVA = 1e2,"),
        ("mpc.baseMVA = 100;", "mpc.gen = [1 2; 3 4];\nmpc.baseMVA = 100"),
        ("mpc.baseMVA = 100;", "%{\nmpc.bus = 1 +\n%}\nmpc.baseMVA = 100;"),
        ("mpc.version = '2';", 'mpc.version = "2"; define_constants;'),
        ("mpc.version = '2';", "mpc.version = '2';\nVbase = 12.66e3; [PQ, PV] = idx_bus;\nmpc.userdata.x = ones(3);"),
        ("mpc.version = '2';", "mpc.version = '2';\nmpc.notes = {'it''s; [odd]', '100 % {sure'};\nmpc.gentype(3) = 1;"),
        ("function mpc = three\n", "% a heading\n"),
        ("function mpc = three\n", "function mpc = three()\n\n"),
        ("-30\t30;\n];\n", "-30\t30;\n];\nend\n"),
    ],
)
def test_forms_of_the_same_case(tmp_path: Path, old: str, new: str) -> None:
    plain = read_network(write(tmp_path, THREE))
    last = old == "-30\t30;\n];\n"
    text = THREE[: -len(old)] + new if last else changed((old, new))
    assert same(plain, read_network(write(tmp_path, text)))


def test_other_name_of_the_struct_line_ends_and_columns(tmp_path: Path) -> None:
    plain = read_network(write(tmp_path, THREE))
    renamed = THREE.replace("mpc", "s").replace("\n", "\r\n").replace("\t150\t0;", "\t150\t0\t1\t2\t3;")
    renamed = renamed.replace("\t120\t10;", "\t120\t10\tNaN\tInf\t-Inf;")
    path = tmp_path / "case.m"
    path.write_bytes(renamed.encode("latin-1"))
    assert same(plain, read_network(path))
    old = "\n".join(line.replace("\t1\t-30\t30;", "\t1;") for line in THREE.split("\n"))
    short = read_network(write(tmp_path, old))
    assert np.isinf(short.branches.angle_max).all()


def test_names_and_no_limit(tmp_path: Path) -> None:
    text = changed(("\t1\t150\t0;", "\t1\tInf\t-Inf;")) + "mpc.bus_name = {\n'North; 1'\n'it''s' ; \"C\" };\n"
    net = read_network(write(tmp_path, text))
    assert net.buses.name == ("North; 1", "it's", "C")
    assert (net.generators.p_min[0], net.generators.p_max[0]) == (-np.inf, np.inf)


def test_what_is_out_of_service_is_dropped(tmp_path: Path) -> None:
    text = changed(
        ("mpc.bus = [\n", "mpc.bus = [\n\t7\t4\t99\t0\t0\t0\t1\t1\t0\t230\t1\t1.1\t0.9;\n"),
        ("mpc.gen = [\n", "mpc.gen = [\n\t7\t0\t0\t0\t0\t1\t100\t1\t50\t0;\n\t10\t0\t0\t0\t0\t1\t100\t-1\t5\t9;\n"),
        ("mpc.gencost = [\n", "mpc.gencost = [\n\t2\t0\t0\t3\t-9\t9\t9;\n\t2\t0\t0\t3\t0\t9\t9;\n"),
        ("mpc.branch = [\n", "mpc.branch = [\n\t7\t10\t0\t0\t0\t1\t0\t0\t0\t0\t1\t0\t0;\n"),
        ("-30\t30;\n", "-30\t30;\n\t20\t10\t0\t0\t0\t1\t0\t0\t0\t0\t0\t0\t0;\n"),
    )
    net, plain = read_network(write(tmp_path, text)), read_network(write(tmp_path, THREE))
    assert net.buses.number.tolist() == [10, 20, 30]
    assert net.generators.row.tolist() == [3, 4]
    assert net.branches.row.tolist() == [2, 4, 5]
    assert np.array_equal(net.generators.p_max, plain.generators.p_max)
    assert np.array_equal(net.branches.x, plain.branches.x)
    assert np.array_equal(net.costs.linear, plain.costs.linear)


def test_piecewise_costs_become_affine_pieces(tmp_path: Path) -> None:
    text = changed(
        ("2\t0\t0\t3\t0.01\t10\t5;", "1\t0\t0\t3\t0\t5\t50\t505\t150\t2505;"),
        ("2\t0\t0\t3\t0.02\t20\t7;", "1\t0\t0\t2\t10\t200\t20\t500\t0\t0;"),
    )
    net = read_network(write(tmp_path, text))
    assert net.costs.piece_generator.tolist() == [0, 0]
    assert net.costs.slope.tolist() == [10, 20]
    assert net.costs.intercept.tolist() == [5, -495]
    assert (net.costs.linear[1], net.costs.constant[1]) == (30, -100)  # a single piece is linear
    assert net.costs.total(np.array([50.0, 10.0])) == pytest.approx(505 + 200)
    assert net.costs.total(np.array([100.0, 20.0])) == pytest.approx(1505 + 500)


def test_costs_of_reactive_power_and_higher_zeros(tmp_path: Path) -> None:
    more = "\t2\t0\t0\t2\t1\t1\t0\t0;\n"
    text = changed(("3\t0.01\t10\t5;", "4\t0\t0.01\t10\t5;"), ("3\t0.02\t20\t7;\n", "2\t20\t7\t0\t0;\n" + more + more))
    net = read_network(write(tmp_path, text))
    assert net.costs.quadratic.tolist() == [0.01, 0]
    assert net.costs.linear.tolist() == [10, 20]
    assert net.costs.constant.tolist() == [5, 7]


@pytest.mark.parametrize(
    ("name", "buses", "branches", "generators", "load"),
    [  # sizes by PGLib's BASELINE.md, loads by adding the file's column with awk
        ("pglib_opf_case5_pjm.m", 5, 6, 5, 1000.0),
        ("pglib_opf_case14_ieee.m", 14, 20, 5, 259.0),
        ("pglib_opf_case30_ieee.m", 30, 41, 6, 283.4),
        ("pglib_opf_case118_ieee.m", 118, 186, 54, 4242.0),
    ],
)
def test_shipped_cases(name: str, buses: int, branches: int, generators: int, load: float) -> None:
    net = read_network(DATA / name)
    assert net.buses.number.size == buses
    assert net.branches.x.size == branches
    assert net.generators.bus.size == generators
    assert net.buses.p_load.sum() == pytest.approx(load)


@pytest.mark.parametrize("name", ["case.xlsx", "case.m.gz", "case"])
def test_other_suffixes(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"no reader for .*supported: \.m"):
        read_network(write(tmp_path, THREE, name))
