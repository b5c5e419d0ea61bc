"""The comparison has a line an algorithm."""

from dataclasses import replace

from gridmodel.ir.result import Result
from gridmodel.report.compare import comparison


def test_a_line_an_algorithm_and_the_reasons_of_the_others(dispatch_result: Result) -> None:
    central = replace(dispatch_result, algorithm="central", rounds=0, messages=0, bytes=0)
    text = comparison({"central": central, "admm": dispatch_result}, {"dual": "the response to prices jumps"})
    rows = [line.split() for line in text.split("\n")]
    assert ["central", "certified", "3.601", "1.0e-12", "2.0e-12", "-", "-", "-", "0.020"] in rows
    assert ["admm", "certified", "3.601", "1.0e-12", "2.0e-12", "40", "240", "1.9", "KiB", "0.020"] in rows
    assert text.rstrip().endswith("dual  the response to prices jumps")


def test_without_proof_and_refusals(dispatch_result: Result) -> None:
    text = comparison({"admm": replace(dispatch_result, certificate=None)}, {})
    assert ["admm", "certified", "3.601", "-", "-", "40", "240", "1.9", "KiB", "0.020"] in [
        line.split() for line in text.split("\n")
    ]
    assert "not applicable" not in text
