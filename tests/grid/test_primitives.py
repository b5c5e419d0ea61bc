"""Primitive admittance matrices against closed forms and against what OpenDSS builds for every connection."""

from __future__ import annotations

import numpy as np
import pytest

from gridmodel.errors import DataError
from gridmodel.grid.elements import Line, Shunt, Source, Terminal, Transformer, Winding
from gridmodel.grid.primitives import Primitive, line, norton, shunt, source, transformer
from tests.grid.references import probe, rows


def winding(
    bus: str, nodes: tuple[int, ...], connection: str, kv: float, kva: float, r: float, tap: float = 1.0
) -> Winding:
    return Winding(Terminal(bus, nodes), connection, kv * 1e3, kva * 1e3, r / 100, tap)


def grounded(primitive: Primitive) -> tuple[list[tuple[str, int]], np.ndarray]:
    """The matrix over the nodes in order of name, without the ground; a node that stands twice is summed."""
    names = sorted({node for node in primitive.nodes if node[1]})
    at = np.array([[float(node == name) for node in primitive.nodes] for name in names])
    return names, at @ primitive.y @ at.T


WYE, DELTA, NEUTRAL = (1, 2, 3, 0), (1, 2, 3), (1, 2, 3, 4)
UNITS = {
    "wye_delta": Transformer(
        "t", 3, (winding("a", WYE, "wye", 12.47, 500, 0.7), winding("b", DELTA, "delta", 4.16, 500, 0.3, 1.05)),
        (0.06,), no_load_loss=0.003, magnetising=0.007, anti_float=3.0,
    ),
    "delta_wye": Transformer(
        "t", 3, (winding("a", DELTA, "delta", 12.47, 500, 0.5), winding("b", WYE, "wye", 4.16, 500, 0.5)), (0.06,)
    ),
    "delta_wye_lead": Transformer(
        "t", 3, (winding("a", DELTA, "delta", 12.47, 500, 0.5), winding("b", WYE, "wye", 4.16, 500, 0.5)), (0.06,),
        lead=True,
    ),
    "delta_wye_up": Transformer(
        "t", 3, (winding("a", DELTA, "delta", 12.47, 500, 0.5), winding("b", WYE, "wye", 24.9, 500, 0.5)), (0.06,)
    ),
    "delta_delta": Transformer(
        "t", 3, (winding("a", DELTA, "delta", 12.47, 150, 0.635), winding("b", DELTA, "delta", 0.48, 150, 0.635)),
        (0.0272,),
    ),
    "wye_wye_neutrals": Transformer(
        "t", 3, (winding("a", NEUTRAL, "wye", 12.47, 500, 0.5), winding("b", NEUTRAL, "wye", 4.16, 500, 0.5)), (0.06,),
        anti_float=1000.0,
    ),
    # OpenDSS takes the third winding's 0.4 % on the first one's 500 kVA.
    "three_windings": Transformer(
        "t", 3,
        (
            winding("a", WYE, "wye", 12.47, 500, 0.7, 1.05), winding("b", WYE, "wye", 4.16, 500, 0.3),
            winding("c", DELTA, "delta", 0.48, 200, 0.4 * 200 / 500, 0.97),
        ),
        (0.06, 0.05, 0.04), no_load_loss=0.003, magnetising=0.007, anti_float=100.0,
    ),
    "center_tap": Transformer(
        "t", 1,
        (
            winding("a", (1, 0), "wye", 7.2, 25, 0.6), winding("b", (1, 0), "wye", 0.12, 25, 1.2),
            winding("b", (0, 2), "wye", 0.12, 25, 1.2),
        ),
        (0.0204, 0.0204, 0.0136), no_load_loss=0.002, magnetising=0.005, anti_float=1000.0,
    ),
    "line_to_line": Transformer(
        "t", 1, (winding("a", (1, 2), "delta", 4.8, 2000, 0.1), winding("b", (1, 2), "delta", 4.8, 2000, 0.1, 1.0625)),
        (0.01,), anti_float=1000.0,
    ),
    "open_delta": Transformer(
        "t", 2, (winding("a", DELTA, "delta", 12.47, 25, 0.2), winding("b", DELTA, "delta", 4.16, 25, 0.2)), (0.0204,),
        anti_float=1000.0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", UNITS)
def test_transformers_equal_those_of_opendss(case: str) -> None:
    names, y = grounded(transformer(UNITS[case]))
    table = [row for row in rows("yprim.csv") if row["case"] == case]
    assert names == [(row["bus"], int(row["node"])) for row in table]
    expected = np.array([complex(float(row["re"]), float(row["im"])) for row in table])
    v = probe(len(names))
    assert np.all(np.abs(y @ v - expected) <= 1e-12 * (np.abs(y) @ np.abs(v)))


def test_two_windings_are_an_ideal_transformer_behind_an_impedance() -> None:
    unit = Transformer(
        "t", 1, (winding("a", (1, 0), "wye", 2.4, 100, 0.5), winding("b", (1, 0), "wye", 0.24, 100, 0.5, 1.05)),
        (0.02,), anti_float=0.0,
    )  # fmt: skip
    z = (0.01 + 0.02j) * 2400**2 / 100e3
    ratio = 2400 / (240 * 1.05)
    _, y = grounded(transformer(unit))
    np.testing.assert_allclose(y, np.array([[1, -ratio], [-ratio, ratio**2]]) / z, rtol=1e-12)


def test_taps_replace_the_windings_own() -> None:
    unit = UNITS["wye_delta"]
    own = transformer(unit).y
    np.testing.assert_array_equal(transformer(unit, {1: 1.05}).y, own)
    raised = transformer(unit, {1: 1.10}).y
    # The core is at the second winding, so that this block goes with the ratio squared, but for the antifloat.
    np.testing.assert_allclose(raised[4, 5] / own[4, 5], (1.05 / 1.10) ** 2, rtol=1e-12)
    np.testing.assert_allclose(raised[0, 4] / own[0, 4], 1.05 / 1.10, rtol=1e-12)


@pytest.mark.parametrize("case", UNITS)
def test_a_transformer_is_reciprocal_and_passive(case: str) -> None:
    y = transformer(UNITS[case]).y
    np.testing.assert_allclose(y, y.T, atol=1e-12 * np.abs(y).max())
    assert np.linalg.eigvalsh(y.real).min() >= -1e-12 * np.abs(y).max()


def test_a_line_is_a_pi_section() -> None:
    z = np.array([[0.4 + 1.0j, 0.1 + 0.4j], [0.1 + 0.4j, 0.5 + 1.1j]])
    shunts = 1e-5j * np.array([[3.0, -1.0], [-1.0, 3.0]])
    found = line(Line("l", Terminal("a", (1, 3)), Terminal("b", (1, 3)), z, shunts))
    assert found.nodes == (("a", 1), ("a", 3), ("b", 1), ("b", 3))
    v, w = np.array([1.0, -0.5j]), np.array([0.9, -0.4j])
    i = found.y @ np.concatenate([v, w])
    np.testing.assert_allclose(z @ (i[:2] - shunts @ v / 2), v - w, atol=1e-14)
    np.testing.assert_allclose(i[:2] + i[2:], shunts @ (v + w) / 2, atol=1e-14)


def test_a_source_gives_its_current_into_a_short_circuit_and_a_shunt_its_matrix() -> None:
    z = np.array([[0.1 + 1j]])
    one = Source("s", Terminal("a", (2,)), np.array([100.0 + 0j]), z)
    np.testing.assert_allclose(norton(one), 100 / z[0])
    np.testing.assert_allclose(source(one).y, 1 / z)
    y = np.array([[2j, -1j], [-1j, 2j]])
    np.testing.assert_array_equal(shunt(Shunt("c", Terminal("a", (1, 2)), y)).y, y)


def test_what_cannot_be_built_is_named() -> None:
    zero = np.zeros((1, 1), dtype=np.complex128)
    with pytest.raises(DataError, match=r"line jumper has a singular series impedance.*join its two buses"):
        line(Line("jumper", Terminal("a", (1,)), Terminal("b", (1,)), zero, zero))
    with pytest.raises(DataError, match="not finite"):
        line(Line("jumper", Terminal("a", (1,)), Terminal("b", (1,)), zero * np.nan, zero))
    pair = UNITS["delta_wye"].windings
    with pytest.raises(DataError, match="2 windings and 3 leakage reactances; expected 1"):
        transformer(Transformer("t", 3, pair, (0.06, 0.05, 0.04)))
    short = (pair[0], winding("b", (1, 2, 3), "wye", 4.16, 500, 0.5))
    with pytest.raises(DataError, match=r"wye winding of transformer t with 3 phases needs 4 nodes, got b\.1\.2\.3"):
        transformer(Transformer("t", 3, short, (0.06,)))
