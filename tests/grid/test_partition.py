"""Areas: connected, balanced, few ties, repeatable; and areas that the user gives."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from numpy.typing import NDArray

from gridmodel.errors import ModelError
from gridmodel.grid.network import Network
from gridmodel.grid.partition import partition
from gridmodel.grid.read import read_network
from tests.grid.case import THREE, write

DATA = Path(__file__).parents[2] / "models" / "data"


def shipped(case: str) -> Network:
    return read_network(DATA / f"pglib_opf_case{case}.m")


def ties(net: Network, areas: dict[str, NDArray[np.intp]]) -> int:
    label = np.full(net.buses.number.size, -1)
    for k, own in enumerate(areas.values()):
        assert (label[own] == -1).all()
        label[own] = k
    assert (label >= 0).all()
    return int((label[net.branches.start] != label[net.branches.end]).sum())


def wires(*edges: tuple[int, int]) -> str:
    """A case whose buses are the nodes of a graph, a load each, fed at bus 1."""
    numbers = sorted({bus for edge in edges for bus in edge})
    bus = [f"{k} {3 if k == 1 else 1} 1 0 0 0 {k % 2 + 4} 1 0 1 1 1.1 0.9" for k in numbers]
    rows = [f"{i} {j} 0 0.1 0 0 0 0 0 0 1" for i, j in edges]
    parts = {"bus": bus, "gen": ["1 0 0 0 0 1 1 1 99 0"], "gencost": ["2 0 0 2 1 0"], "branch": rows}
    return "mpc.baseMVA = 1;\n" + "".join(
        f"mpc.{name} = [\n" + "\n".join(rows) + "];\n" for name, rows in parts.items()
    )


@pytest.mark.parametrize(
    ("case", "count", "most_ties", "largest"),
    [  # ties of METIS 5.1: 14 in 2: 3, 30 in 3: 7, 118 in 4: 17; ours may have a few more
        ("14_ieee", 2, 3, 7),
        ("30_ieee", 3, 8, 11),
        ("118_ieee", 2, 11, 64),
        ("118_ieee", 3, 11, 44),
        ("118_ieee", 4, 20, 36),
        ("118_ieee", 8, 36, 20),
    ],
)
def test_connected_and_balanced(case: str, count: int, most_ties: int, largest: int) -> None:
    net = shipped(case)
    areas = partition(net, count)
    assert list(areas) == [f"area{k}" for k in range(1, count + 1)]
    for own in areas.values():
        assert nx.is_connected(net.graph.subgraph(net.buses.number[own].tolist()))
    assert ties(net, areas) <= most_ties
    assert max(own.size for own in areas.values()) <= largest


def test_repeatable() -> None:
    first, second = partition(shipped("118_ieee"), 5), partition(shipped("118_ieee"), 5)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_two_rings_part_at_their_bridge(tmp_path: Path) -> None:
    rings = [(k, k + 1) for k in (1, 2, 3, 4, 11, 12, 13, 14)] + [(1, 5), (11, 15), (5, 11)]
    net = read_network(write(tmp_path, wires(*rings)))
    areas = partition(net, 2)
    assert [net.buses.number[own].tolist() for own in areas.values()] == [[1, 2, 3, 4, 5], [11, 12, 13, 14, 15]]


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7])
def test_a_star_and_a_line_stay_connected(tmp_path: Path, count: int) -> None:
    for edges in ([(1, k) for k in range(2, 8)], [(k, k + 1) for k in range(1, 7)]):
        net = read_network(write(tmp_path, wires(*edges)))
        areas = partition(net, count)
        assert ties(net, areas) == count - 1  # in a tree, connected areas mean just as many cuts
        assert len(areas) == count


def test_areas_of_the_file_and_of_the_user(tmp_path: Path) -> None:
    net = read_network(write(tmp_path, THREE))
    assert {name: own.tolist() for name, own in partition(net, "file").items()} == {"area1": [0, 1], "area2": [2]}
    given = partition(net, {10: "north", 20: 7, 30: "north"})
    assert {name: own.tolist() for name, own in given.items()} == {"area7": [1], "north": [0, 2]}


@pytest.mark.parametrize(
    ("areas", "words"),
    [
        (0, "from 1 to the number of buses, 3"),
        (4, "from 1 to the number of buses, 3"),
        (1.5, "whole number"),
        (True, "whole number"),
        (None, "areas=None: expected a whole number"),
        (float("nan"), "areas=nan: expected a whole number"),
        ("metis", 'expected a number, "file", or a mapping'),
        ({10: "a", 20: "b"}, "1 of 3 buses have no area, e.g. bus 30"),
        ({10: "a", 20: "b", 30: "b", 40: "c"}, "40 is no bus in service"),
    ],
)
def test_areas_that_do_not_fit(tmp_path: Path, areas: object, words: str) -> None:
    net = read_network(write(tmp_path, THREE))
    with pytest.raises(ModelError, match=words):
        partition(net, areas)  # type: ignore[arg-type]
