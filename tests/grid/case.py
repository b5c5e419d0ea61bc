"""A small case file as text, and its file in a folder."""

from __future__ import annotations

from pathlib import Path

THREE = """function mpc = three
mpc.version = '2';
mpc.baseMVA = 100;
mpc.bus = [
	10	3	0	0	0	0	1	1	0	230	1	1.1	0.9;
	20	2	50	10	0	0	1	1	0	230	1	1.1	0.9;
	30	1	100	30	2	0	2	1	0	230	1	1.1	0.9;
];
mpc.gen = [
	10	0	0	30	-30	1	100	1	150	0;
	20	0	0	30	-30	1	100	1	120	10;
];
mpc.gencost = [
	2	0	0	3	0.01	10	5;
	2	0	0	3	0.02	20	7;
];
mpc.branch = [
	10	20	0.01	0.1	0	60	0	0	0	0	1	-30	30;
	10	30	0.01	0.2	0	90	0	0	0	0	1	-30	30;
	20	30	0.01	0.1	0	90	0	0	0	0	1	-30	30;
];
"""


def write(folder: Path, text: str, name: str = "case.m") -> Path:
    """Writes a case and returns its path."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def changed(*pairs: tuple[str, str], text: str = THREE) -> str:
    """The case with pieces replaced, each of which must stand in it."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text
