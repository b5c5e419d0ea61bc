"""Areas of a network against the admittance matrix of the whole, and against each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.grid.network import Network
from gridmodel.grid.partition import partition
from gridmodel.grid.read import read_network
from gridmodel.physics.pieces import Piece, cut
from tests.grid.case import THREE, changed, write

DATA = Path(__file__).parents[2] / "models" / "data"
Complexes = NDArray[np.complex128]


def network(case: str) -> Network:
    return read_network(DATA / f"pglib_opf_case{case}.m")


def voltages(net: Network) -> Complexes:
    """Any voltages, not a load flow's."""
    rng = np.random.default_rng(7)
    count = net.buses.number.size
    return rng.uniform(0.9, 1.1, count) * np.exp(1j * rng.uniform(-0.3, 0.3, count))


def injections(net: Network, v: Complexes) -> Complexes:
    """Complex power from every bus into its branches, in pu, branch by branch from MATPOWER's manual, eq. 3.1."""
    found = np.zeros(v.size, dtype=np.complex128)
    lines = net.branches
    for k in range(lines.x.size):
        i, j = lines.start[k], lines.end[k]
        y = 1 / (lines.r[k] + 1j * lines.x[k])
        ratio = lines.tap[k] * np.exp(1j * lines.shift[k])
        into_start = (y + 0.5j * lines.b[k]) / abs(ratio) ** 2 * v[i] - y / np.conj(ratio) * v[j]
        into_end = (y + 0.5j * lines.b[k]) * v[j] - y / ratio * v[i]
        found[i] += v[i] * np.conj(into_start)
        found[j] += v[j] * np.conj(into_end)
    return found


def held(net: Network, piece: Piece, v: Complexes) -> Complexes:
    """The voltages of a piece's buses; the middle of a tie is the mean of v_start / (tap e^(j shift)) and v_end."""
    if piece.ties == "copies":
        return np.concatenate([v[piece.buses], v[piece.ghosts]])
    lines, k = net.branches, piece.ghosts
    middle = (v[lines.start[k]] / (lines.tap[k] * np.exp(1j * lines.shift[k])) + v[lines.end[k]]) / 2
    return np.concatenate([v[piece.buses], middle])


def powers(piece: Piece, v: Complexes) -> tuple[Complexes, Complexes]:
    """What enters each line of a piece at its start and at its end, in pu."""
    ss, se, es, ee = piece.lines.admittances
    start, end = v[piece.lines.start], v[piece.lines.end]
    return start * np.conj(ss * start + se * end), end * np.conj(es * start + ee * end)


@pytest.mark.parametrize("ties", ["midpoint", "copies"])
@pytest.mark.parametrize(("case", "areas"), [("5_pjm", 5), ("14_ieee", 3), ("118_ieee", 4)])
def test_pieces_inject_what_the_whole_network_does(case: str, areas: int, ties: str) -> None:
    net = network(case)
    v = voltages(net)
    whole = injections(net, v)
    seen = []
    for piece in cut(net, partition(net, areas), ties):
        at_start, at_end = powers(piece, held(net, piece, v))
        own = np.zeros(piece.size, dtype=np.complex128)
        np.add.at(own, piece.lines.start, at_start)
        np.add.at(own, piece.lines.end, at_end)
        assert own[: piece.buses.size] == pytest.approx(whole[piece.buses], abs=1e-10)
        seen.append(piece.buses)
    assert np.sort(np.concatenate(seen)).tolist() == list(range(v.size))


def test_a_tie_with_tap_shift_and_charging_is_cut_in_its_middle_exactly(tmp_path: Path) -> None:
    text = changed(("10\t30\t0.01\t0.2\t0\t90\t0\t0\t0\t0", "10\t30\t0.01\t0.2\t0.4\t90\t0\t0\t0.95\t20"))
    net = read_network(write(tmp_path, text))
    v = voltages(net)
    first, second = cut(net, {"a": np.array([0]), "b": np.array([1, 2])}, "midpoint")
    for piece in (first, second):
        own = np.zeros(piece.size, dtype=np.complex128)
        for buses, power in zip((piece.lines.start, piece.lines.end), powers(piece, held(net, piece, v)), strict=True):
            np.add.at(own, buses, power)
        assert own[: piece.buses.size] == pytest.approx(injections(net, v)[piece.buses], abs=1e-12)
    # the same power arrives in the middle on one side as leaves it on the other
    _, arriving = powers(first, held(net, first, v))
    leaving, _ = powers(second, held(net, second, v))
    assert arriving == pytest.approx(-leaving[second.inner :], abs=1e-12)


@pytest.mark.parametrize("ties", ["midpoint", "copies"])
def test_neighbours_list_their_ties_in_one_order(ties: str) -> None:
    net = network("118_ieee")
    pieces = cut(net, partition(net, 4), ties)
    met = 0
    for i, piece in enumerate(pieces):
        for neighbour in piece.neighbours:
            other = pieces[neighbour.area]
            back = next(one for one in other.neighbours if one.area == i)
            assert piece.tie_branch[neighbour.ties].tolist() == other.tie_branch[back.ties].tolist()
            ghosts = piece.ghosts[neighbour.ghosts]
            if ties == "copies":
                assert ghosts.tolist() == other.buses[neighbour.owned].tolist()
                assert ghosts.tolist() == [
                    int(bus) for bus in np.unique(np.r_[net.branches.start, net.branches.end]) if bus in set(ghosts)
                ]
            else:
                assert ghosts.tolist() == piece.tie_branch[neighbour.ties].tolist()
            met += ghosts.size
    assert met == sum(piece.ghosts.size for piece in pieces) > 0


def test_every_limit_of_a_tie_is_kept_once_at_midpoints_and_by_both_with_copies() -> None:
    net = network("14_ieee")
    ends = {}
    for ties in ("midpoint", "copies"):
        kept = np.zeros((net.branches.x.size, 3), dtype=int)
        for piece in cut(net, partition(net, 2), ties):
            lines = piece.lines
            for column, limit in enumerate((lines.rate_start, lines.rate_end, lines.angle_max)):
                np.add.at(kept[:, column], lines.branch[np.isfinite(limit)], 1)
        ends[ties] = kept
    assert (ends["midpoint"] == 1).all()
    assert set(np.unique(ends["copies"]).tolist()) == {1, 2}


def test_the_bounds_of_a_middle_hold_no_feasible_voltage_back() -> None:
    net = network("14_ieee")
    rng = np.random.default_rng(3)
    (piece, _) = cut(net, partition(net, 2), "midpoint")
    k = piece.ghosts
    low, high = piece.v_min[piece.buses.size :], piece.v_max[piece.buses.size :]
    for _ in range(200):
        sizes = rng.choice([0.94, 1.06], net.buses.number.size)
        turn = np.exp(1j * rng.choice([-1, 1], k.size) * net.branches.angle_max[k])
        lines = net.branches
        ratio = lines.tap[k] * np.exp(1j * lines.shift[k])
        middle = np.abs(sizes[lines.start[k]] / ratio + sizes[lines.end[k]] * turn) / 2
        assert ((low < middle) & (middle < high)).all()


def test_words_that_are_not_known() -> None:
    net = network("5_pjm")
    with pytest.raises(ModelError, match="ties='half' is not known; available: midpoint, copies"):
        cut(net, partition(net, 2), "half")
    with pytest.raises(ModelError, match="load_scale=nan: expected a finite number"):
        cut(net, partition(net, 2), "copies", float("nan"))


def test_the_small_case_has_what_its_areas_hold(tmp_path: Path) -> None:
    net = read_network(write(tmp_path, THREE))
    one, two = cut(net, {"a": np.array([0, 1]), "b": np.array([2])}, "copies", load_scale=2.0)
    assert one.lines.branch.tolist() == [0, 1, 2]
    assert (one.inner, two.inner) == (1, 0)
    assert one.p_load.tolist() == [0.0, 100.0]
    assert two.p_load.tolist() == [200.0]
    assert two.g_shunt.tolist() == [2.0]
    assert one.reference.tolist() == [0]
    assert two.generators.size == two.reference.size == 0
    assert one.bus_names == ("bus 10", "bus 20")
    assert two.line_names == ("branch 10-30", "branch 20-30")
