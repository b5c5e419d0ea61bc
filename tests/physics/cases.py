"""Shipped cases with published values, and small radial cases as text."""

from __future__ import annotations

from pathlib import Path

from gridmodel.grid.network import Network
from gridmodel.grid.read import read_network

DATA = Path(__file__).parents[2] / "models" / "data"

# Objective of the exact equations in $/h, found by Ipopt, as published with PGLib v23.07 (there with five digits).
AC = {"case5_pjm": 17551.89, "case14_ieee": 2178.08, "case30_ieee": 8208.52, "case118_ieee": 97213.61}

TWO = """function mpc = two
mpc.version = '2';
mpc.baseMVA = 1;
mpc.bus = [
	1	3	0	0	0	0	1	1	0	12	1	1	1;
	2	1	0.3	0.1	0	0	1	1	0	12	1	1.1	0.9;
];
mpc.gen = [
	1	0	0	2	-2	1	1	1	2	-2;
];
mpc.gencost = [
	2	0	0	3	0	1	0;
];
mpc.branch = [
	1	2	0.1	0.2	0	0	0	0	0	0	1	-60	60;
];
"""

FEEDER = """function mpc = feeder
mpc.version = '2';
mpc.baseMVA = 10;
mpc.bus = [
	1	3	0	0	0	0	1	1	0	12	1	1.0	1.0;
	2	1	2	1	0	0	1	1	0	12	1	1.1	0.9;
	3	1	3	1	0.2	0.5	1	1	0	12	1	1.1	0.9;
	4	2	1	0	0	0	1	1	0	12	1	1.1	0.9;
];
mpc.gen = [
	1	0	0	20	-20	1	10	1	20	-20;
	4	0	0	1	-1	1	10	1	2	0;
];
mpc.gencost = [
	2	0	0	3	0	30	0;
	2	0	0	3	1	20	0;
];
mpc.branch = [
	1	2	0.02	0.04	0.01	0	0	0	1.02	0	1	-60	60;
	2	3	0.03	0.05	0	0	0	0	0	0	1	-60	60;
	2	4	0.02	0.03	0	0	0	0	0	0	1	-60	60;
];
"""


def shipped(name: str) -> Network:
    """A case of PGLib that the project ships."""
    return read_network(DATA / f"pglib_opf_{name}.m")


def from_text(folder: Path, text: str) -> Network:
    """A network from the text of a case file."""
    path = folder / "case.m"
    path.write_text(text, encoding="utf-8")
    return read_network(path)


def gap(name: str, value: float) -> float:
    """How far a lower bound lies below the published objective, in percent."""
    return 100.0 * (1.0 - value / AC[name])
