"""The matrix over all nodes: sums of primitives, switches, islands, and the same as OpenDSS's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridmodel.grid.assemble import assemble
from gridmodel.grid.elements import Bus, Line, Shunt, Source, Terminal
from gridmodel.grid.feeder import Feeder
from tests.grid.references import FILES, feeder, probe, ratios, rows

NONE = np.zeros((1, 1), dtype=np.complex128)


def ohm(z: complex) -> np.ndarray:
    return np.array([[z]], dtype=np.complex128)


def wire(name: str, a: str, b: str, z: complex, **more: bool) -> Line:
    return Line(name, Terminal(a, (1,)), Terminal(b, (1,)), ohm(z), NONE, **more)


@pytest.mark.parametrize("name", FILES)
def test_the_matrix_is_that_of_opendss(name: str) -> None:
    net = feeder(name)
    table = [row for row in rows("ybus.csv") if row["feeder"] == name]
    order = np.array([net.position[row["node"]] for row in table])
    assert sorted(order) == list(range(len(net.nodes)))
    expected = np.array([complex(float(row["re"]), float(row["im"])) for row in table])
    Y = assemble(net).Y[order][:, order]
    v = probe(len(order))
    assert np.all(np.abs(Y @ v - expected) <= 1e-13 * (abs(Y) @ np.abs(v)))


def test_parallel_elements_add_up_and_the_ground_is_left_out() -> None:
    net = Feeder(
        "n", 60.0, (Bus("a", (1,), 1.0), Bus("b", (1,), 1.0)),
        (Source("s", Terminal("a", (1,)), np.array([2.0 + 0j]), ohm(0.5)),),
        (wire("l1", "a", "b", 1.0), wire("l2", "a", "b", 0.5)),
        shunts=(Shunt("c", Terminal("b", (1, 0)), np.array([[3j, -3j], [-3j, 3j]])),),
    )  # fmt: skip
    system = assemble(net)
    np.testing.assert_allclose(system.Y.toarray(), [[5, -3], [-3, 3 + 3j]])
    np.testing.assert_allclose(system.source, [4, 0])
    assert system.connected.all()


def test_an_open_switch_leaves_an_island_without_voltage() -> None:
    lines = (wire("l", "a", "b", 1.0), wire("sw", "b", "c", 1e-3, closed=False, switch=True), wire("m", "c", "d", 1.0))
    net = Feeder(
        "n", 60.0, tuple(Bus(name, (1,), 1.0) for name in "abcd"),
        (Source("s", Terminal("a", (1,)), np.array([1.0 + 0j]), ohm(1.0)),), lines,
    )  # fmt: skip
    system = assemble(net)
    assert system.Y[1, 2] == 0
    np.testing.assert_array_equal(system.connected, [True, True, False, False])
    closed = replace(net, lines=(lines[0], replace(lines[1], closed=True), lines[2]))
    assert assemble(closed).connected.all()


def test_without_a_source_nothing_is_connected() -> None:
    net = Feeder("n", 60.0, (Bus("a", (1,), 1.0), Bus("b", (1,), 1.0)), (), (wire("l", "a", "b", 1.0),))
    assert not assemble(net).connected.any()


def test_taps_change_the_block_of_their_transformer_only() -> None:
    net = feeder("ieee123")
    change = abs(assemble(net, ratios({"reg4b": 5})).Y - assemble(net).Y) > 1e-6
    touched = {net.nodes[k] for k in np.unique(np.concatenate(change.nonzero()))}
    assert touched == {"160.2", "160r.2"}
