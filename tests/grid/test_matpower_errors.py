"""Every malformed case names the file, the line, what was got, what was expected and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridmodel.errors import NetworkFileError
from gridmodel.grid.read import read_network
from tests.grid.case import THREE, changed, write

BUS = "\t1\t1\t0\t230\t1\t1.1\t0.9;\n"
WRONG: list[tuple[str, tuple[tuple[str, str], ...], int, tuple[str, ...]]] = [
    ("closed by nothing before the next table", (("];\nmpc.gen", "mpc.gen"),), 4,
     ("mpc.bus opens with `[`", "before the next statement at line 8", "];", "truncated")),
    ("a row cut off by a comment", (("\t10\t30\t0.01\t0.2", "\t10\t30\t0.01 %"),), 19,
     ("a row of mpc.branch has 3 columns", "expected 13")),
    ("a short row", (("\t20\t2\t50", "\t20\t2"),), 6, ("mpc.bus has 12 columns", "expected 13")),
    ("all rows short", (("\t150\t0;", "\t150;"), ("\t120\t10;", "\t120;")), 10,
     ("mpc.gen has 9 columns", "at least 10")),
    ("a word", (("\t50\t10\t", "\tmuch\t10\t"),), 6, ("mpc.bus holds `much`", "a number")),
    ("a formula in a table", (("\t50\t10\t", "\t2*25\t10\t"),), 6, ("mpc.bus holds `2*25`", "write the number")),
    ("a stray bracket", (("mpc.version", "]; mpc.version"),), 2, ("`]` that closes nothing",)),
    ("no branches", (("mpc.branch", "mpc.lines"),), 21, ("without mpc.branch", "expected a table", "truncated")),
    ("no costs", (("mpc.gencost", "mpc.unused"),), 21, ("without mpc.gencost",)),
    ("an empty table", (("mpc.gencost = [", "mpc.gencost = []; mpc.u = ["),), 21, ("without mpc.gencost",)),
    ("no base", (("mpc.baseMVA", "baseMVA"),), 21, ("without mpc.baseMVA", "mpc.baseMVA = 100;")),
    ("a base of 0", (("= 100;", "= 0;"),), 3, ("mpc.baseMVA is 0", "positive")),
    ("version 1", (("'2'", "'1'"),), 2, ("mpc.version is 1", "expected '2'", "savecase")),
    ("format 1", (("function mpc", "function [baseMVA, bus]"),), 1, ("case format 1", "savecase")),
    ("a table computed afterwards", (("mpc.branch = [", "mpc.bus(:, 3) = mpc.bus(:, 3) / 2;\nmpc.branch = ["),), 17,
     ("mpc.bus is computed", "mpc.bus(:, 3) = mpc.bus(:, 3) / 2", "only data", "savecase")),
    ("a table computed", (("mpc.branch = [", "mpc.bus = scale(mpc.bus);\nmpc.branch = ["),), 17,
     ("mpc.bus is computed", "scale(mpc.bus)", "savecase")),
    ("a struct computed", (("mpc.branch = [", "mpc = scale(mpc);\nmpc.branch = ["),), 17,
     ("computes", "mpc = scale(mpc)")),
    ("control flow", (("mpc.branch = [", "if true\nmpc.branch = ["),), 17, ("computes", "`if true`")),
    ("a transposed table", (("0.02\t20\t7;\n];", "0.02\t20\t7;\n]';"),), 13, ("mpc.gencost is computed",)),
    ("generator at no bus", (("\t20\t0\t0\t30", "\t25\t0\t0\t30"),), 11,
     ("row 2 of mpc.gen", "bus 25", "mpc.bus does not hold", "add the bus")),
    ("branch from no bus", (("\t10\t30\t0.01", "\t11\t30\t0.01"),), 19, ("row 2 of mpc.branch", "bus 11")),
    ("branch to no bus", (("\t10\t30\t0.01", "\t10\tNaN\t0.01"),), 19, ("row 2 of mpc.branch", "bus nan")),
    ("a bus twice", (("\t30\t1\t100", "\t10\t1\t100"),), 7, ("bus 10 is declared twice", "line 5", "Renumber")),
    ("a broken bus number", (("\t30\t1\t100", "\t30.5\t1\t100"),), 7, ("30.5", "whole number")),
    ("a bus type", (("\t30\t1\t100", "\t30\t5\t100"),), 7, ("bus 30 has type 5", "expected 1 (load)")),
    ("a load NaN", (("\t30\t1\t100", "\t30\t1\tNaN"),), 7, ("column 3 of mpc.bus (Pd) is nan", "finite")),
    ("no reference", (("\t10\t3\t0", "\t10\t2\t0"),), 4, ("no reference bus", "type 3")),
    ("two references", (("\t20\t2\t50", "\t20\t3\t50"),), 6, ("2 reference buses: 10, 20", "expected one")),
    ("isolated", (("mpc.bus = [\n", "mpc.bus = [\n\t40\t1\t9\t0\t0\t0" + BUS),), 5,
     ("bus 40 is isolated", "type 4", "status 1")),
    ("islands", (("mpc.bus = [\n", "mpc.bus = [\n\t40\t1\t9\t0\t0\t0" + BUS + "\t50\t1\t9\t0\t0\t0" + BUS),
                 ("mpc.branch = [\n", "mpc.branch = [\n\t50\t40\t0\t0.1\t0\t0\t0\t0\t0\t0\t1\t0\t0;\n")), 5,
     ("2 islands: {10, 20, 30}; {40, 50}", "connected", "type 4")),
    ("x = 0", (("\t20\t30\t0.01\t0.1", "\t20\t30\t0.01\t0"),), 20, ("branch 3 (20-30)", "x = 0", "Merge")),
    ("a negative rating", (("\t0.2\t0\t90", "\t0.2\t0\t-90"),), 19, ("branch 2 (10-30)", "a rating below 0")),
    ("crossed angles", (("-30\t30;\n];", "30\t-30;\n];"),), 20, ("branch 3 (20-30)", "angmin above angmax")),
    ("a loop", (("\t20\t30\t0.01", "\t20\t20\t0.01"),), 20, ("branch 3 (20-20)", "the same bus")),
    ("crossed limits", (("\t1\t120\t10;", "\t1\t120\t130;"),), 11,
     ("generator 2", "Pmin = 130", "Pmax = 120", "Pmin <= Pmax")),
    ("no generator", (("\t1\t150\t0;", "\t0\t150\t0;"), ("\t1\t120\t10;", "\t0\t120\t10;")), 9,
     ("no generator", "status 1")),
    ("too few costs", (("\t2\t0\t0\t3\t0.02\t20\t7;\n", ""),), 14, ("ends after 1 rows", "expected 2", "Add")),
    ("a cost model", (("\t2\t0\t0\t3\t0.02", "\t3\t0\t0\t3\t0.02"),), 15,
     ("cost model 3", "1 (piecewise linear) or 2 (polynomial)")),
    ("too few coefficients", (("\t2\t0\t0\t3\t0.02", "\t2\t0\t0\t4\t0.02"),), 15, ("3 numbers", "expected 4")),
    ("too few points", (("\t2\t0\t0\t3\t0.02", "\t1\t0\t0\t2\t0.02"),), 15, ("3 numbers", "expected 4")),
    ("no count", (("\t2\t0\t0\t3\t0.02", "\t2\t0\t0\t2.5\t0.02"),), 15, ("n = 2.5", "whole number")),
    ("no end", (("\t2\t0\t0\t3\t0.02", "\t2\t0\t0\tInf\t0.02"),), 15, ("n = inf", "whole number")),
    ("a cost NaN", (("0.02\t20\t7;", "0.02\tNaN\t7;"),), 15, ("NaN or Inf",)),
    ("a concave cost", (("0.02\t20\t7;", "-0.02\t20\t7;"),), 15, ("generator 2 is not convex", "-0.02", "sign")),
    ("a cubic cost", (("3\t0.01\t10\t5;", "4\t1\t1\t1\t1;"), ("3\t0.02\t20\t7;", "3\t0.02\t20\t7\t0;")), 14,
     ("generator 1", "degree 3", "at most 2")),
    ("concave pieces", (("2\t0\t0\t3\t0.01\t10\t5;", "1\t0\t0\t3\t0\t0\t10\t90\t20\t100;"),
                        ("3\t0.02\t20\t7;", "3\t0.02\t20\t7\t0\t0\t0;")), 14,
     ("generator 1 is not convex", "slopes are 9, 1", "convex hull")),
    ("unsorted points", (("2\t0\t0\t3\t0.01\t10\t5;", "1\t0\t0\t2\t10\t0\t10\t90;"),
                         ("3\t0.02\t20\t7;", "3\t0.02\t20\t7\t0;")), 14, ("10, 10", "Sort")),
    ("a DC line", (("mpc.gencost = [", "mpc.dcline = [\n10 30 0 1;\n10 20 1 5;\n];\nmpc.gencost = ["),), 15,
     ("mpc.dcline", "in service", "not supported", "status 0")),
    ("a DC grid", (("mpc.gencost = [", "mpc.convdc = [\n1 2;\n];\nmpc.gencost = ["),), 13,
     ("mpc.convdc", "DC grid", "not supported")),
]  # fmt: skip


@pytest.mark.parametrize(("pairs", "line", "words"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_malformed(tmp_path: Path, pairs: tuple[tuple[str, str], ...], line: int, words: tuple[str, ...]) -> None:
    path = write(tmp_path, changed(*pairs))
    with pytest.raises(NetworkFileError) as caught:
        read_network(path)
    message = str(caught.value)
    assert message.startswith(f"case.m:{line}: "), message
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize("length", [len(THREE) - 4, len(THREE) - 40, THREE.index("mpc.gen ") + 20])
def test_truncated(tmp_path: Path, length: int) -> None:
    table, line = ("mpc.branch", 17) if length > 400 else ("mpc.gen", 9)
    with pytest.raises(NetworkFileError, match=rf"^case\.m:{line}: {table} opens .* before the file ends.*truncated"):
        read_network(write(tmp_path, THREE[:length]))


def test_missing_and_empty_file(tmp_path: Path) -> None:
    with pytest.raises(NetworkFileError, match=r"nowhere\.m: cannot be read .*Check the path"):
        read_network(tmp_path / "nowhere.m")
    with pytest.raises(NetworkFileError, match=r"^case\.m:1: the file ends without mpc\.baseMVA"):
        read_network(write(tmp_path, ""))


def test_out_of_service_dc_lines_are_no_matter(tmp_path: Path) -> None:
    text = changed(("mpc.gencost = [", "mpc.dcline = [\n10 30 0 1;\n];\nmpc.convdc = [];\nmpc.gencost = ["))
    assert read_network(write(tmp_path, text)).branches.x.size == 3
