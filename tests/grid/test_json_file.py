"""Networks and feeders written as JSON come back exactly equal; what does not fit is refused by name."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridmodel.errors import ModelError, NetworkFileError
from gridmodel.grid.elements import Bus, Generator, Source, Terminal
from gridmodel.grid.feeder import Feeder
from gridmodel.grid.json_file import write_network
from gridmodel.grid.read import read_case, read_feeder, read_network

DATA = Path(__file__).parents[2] / "models" / "data"
NETS = [
    "feeders/13Bus/IEEE13Nodeckt.dss",
    "feeders/123Bus/IEEE123Switches.dss",
    "pglib_opf_case14_ieee.m",
    "pglib_opf_case5_pjm.m",
]


def same(a: Any, b: Any) -> bool:
    """Whether two objects are equal in type and in every bit."""
    if type(a) is not type(b):
        return False
    if dataclasses.is_dataclass(a):
        return all(same(getattr(a, field.name), getattr(b, field.name)) for field in dataclasses.fields(a))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


@pytest.mark.parametrize("name", NETS)
def test_round_trip(tmp_path: Path, name: str) -> None:
    net = read_network(DATA / name)
    write_network(net, tmp_path / "net.json")
    again = read_network(tmp_path / "net.json")
    assert same(net, again)
    write_network(again, tmp_path / "twice.json")
    assert (tmp_path / "net.json").read_bytes() == (tmp_path / "twice.json").read_bytes()


def test_profiles_attributes_and_signs_of_zero(tmp_path: Path) -> None:
    terminal = Terminal("a", (1, 0))
    unit = Generator("g", terminal, 1, "wye", complex(-0.0, 3.0), 230.0, attributes={"energy": 1 / 3}, p_max=np.inf)
    net = Feeder(
        "tiny",
        50.0,
        (Bus("a", (1,), 230.0, None, -0.0),),
        (Source("s", Terminal("a", (1,)), np.array([230 + 0j]), np.array([[complex(0.1, -0.0)]])),),
        generators=(unit,),
        profiles={"day": np.array([0.1, -0.0, 1e-300])},
        step=0.25,
        notes=("two\nlines", "ä"),
    )
    write_network(net, tmp_path / "tiny.json")
    assert same(net, read_feeder(tmp_path / "tiny.json"))


def test_the_file_is_plain_json(tmp_path: Path) -> None:
    write_network(read_network(DATA / NETS[0]), tmp_path / "net.json")
    data = json.loads((tmp_path / "net.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert (data["format"], data["version"]) == ("gridmodel feeder", 1)
    assert data["lines"][0]["rating"] == "inf"
    assert data["lines"][0]["start"] == {"bus": "rg60", "nodes": [1, 2, 3]}


WRONG = [
    ({"format": "gridmodel feeder", "version": 2}, "version 2, expected 1"),
    ({"format": "other"}, '"format": one of'),
    ({"format": "gridmodel feeder", "version": 1}, "the field 'buses' is missing"),
    ([1, 2], '"format": one of'),
]


@pytest.mark.parametrize(("data", "said"), WRONG)
def test_other_json(tmp_path: Path, data: object, said: str) -> None:
    (tmp_path / "net.json").write_text(json.dumps(data))
    with pytest.raises(NetworkFileError) as caught:
        read_network(tmp_path / "net.json")
    assert str(caught.value).startswith("net.json")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("frequency",), "fast", ".frequency: got \"fast\", expected float"),
        (("frequency",), True, ".frequency: got true"),
        (("name",), 3, ".name: got 3, expected str"),
        (("lines", 0, "z"), [[1, "x"]], ".lines[0].z: got [[1, \"x\"]], expected an array"),
        (("lines", 0, "z"), [[1, 2, 3]], "expected an array"),
        (("lines", 0, "closed"), 1, ".lines[0].closed: got 1, expected bool"),
        (("lines", 0, "start"), "rg60", "expected an object with the fields of Terminal"),
        (("lines", 0, "start", "nodes"), 3, "expected a list"),
        (("lines", 0, "colour"), "red", "unknown field 'colour'"),
        (("loads", 0, "zip_p"), [1.0, 0.0], "got 2 entries, expected 3"),
        (("profiles",), [1], ".profiles: got [1], expected an object"),
    ],
)  # fmt: skip
def test_wrong_fields(tmp_path: Path, path: tuple[str | int, ...], value: object, said: str) -> None:
    write_network(read_network(DATA / NETS[0]), tmp_path / "net.json")
    data = json.loads((tmp_path / "net.json").read_text(encoding="utf-8"))
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    (tmp_path / "net.json").write_text(json.dumps(data))
    with pytest.raises(NetworkFileError) as caught:
        read_network(tmp_path / "net.json")
    assert said in str(caught.value)


def test_no_json_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "net.json").write_text('{"format":\n')
    with pytest.raises(NetworkFileError, match=r"^net\.json:2: no JSON"):
        read_network(tmp_path / "net.json")
    with pytest.raises(NetworkFileError, match=r"cannot be read"):
        read_network(tmp_path / "none.json")
    (tmp_path / "net.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NetworkFileError, match=r"no JSON"):
        read_network(tmp_path / "net.json")


def test_what_is_not_a_network(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"expects a Network or a Feeder, got dict"):
        write_network({}, tmp_path / "net.json")  # type: ignore[arg-type]


def test_feeders_and_cases_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"multiphase feeder, expected a balanced case"):
        read_case(DATA / NETS[0])
    with pytest.raises(ModelError, match=r"balanced network, expected a multiphase feeder"):
        read_feeder(DATA / NETS[2])
    assert read_case(DATA / NETS[2]).buses.number.size == 14
