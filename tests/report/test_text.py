"""The summary in words holds every part of a result."""

from dataclasses import replace

import numpy as np
import pytest

from gridmodel.ir.result import Result, Status
from gridmodel.report.text import columns, size, summary


def test_a_summary_names_status_cost_prices_variables_and_proof(dispatch_result: Result) -> None:
    text = summary(dispatch_result)
    assert text.startswith("dispatch, admm: certified\n")
    assert Status.CERTIFIED.sentence in text
    assert "cost 3.601 EUR/h" in text
    assert "balance  1.02  EUR/kWh" in text
    assert "g1  p  2.06  kW" in text
    assert "40 rounds, 240 messages, 1.9 KiB" in text
    assert "central optimum    3.601  (CLARABEL, optimal)" in text


def test_large_arrays_are_summed_up(dispatch_result: Result) -> None:
    grid = np.linspace(-1, 3, 4800).reshape(200, 24)
    text = summary(replace(dispatch_result, variables={"home": {"grid": grid}}))
    assert "200 x 24 numbers, -1 to 3, mean 1" in text
    assert len(text) < 2000


def test_many_agents_are_cut_short_and_counted(dispatch_result: Result) -> None:
    variables = {f"agent {k}": {"x": 1.0} for k in range(50)}
    text = summary(replace(dispatch_result, variables=variables))
    assert "agent 10" in text
    assert "agent 11" not in text
    assert "... and 39 more" in text


def test_an_infeasible_result_shows_its_cause_and_no_cost(infeasible_result: Result) -> None:
    text = summary(infeasible_result)
    assert "infeasible" in text
    assert "cause: coupling 'balance'" in text
    assert "cost" not in text


def test_the_message_of_a_solver_comes_before_the_general_sentence(dispatch_result: Result) -> None:
    text = summary(replace(dispatch_result, status=Status.STOPPED, message="stopped at 40 rounds"))
    assert "stopped at 40 rounds" in text
    assert Status.STOPPED.sentence not in text


def test_columns_are_aligned() -> None:
    assert columns([("a", "1"), ("bcd", "100")], right=[1]) == "a      1\nbcd  100"


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (2048, "2.0 KiB"), (3 * 2**30, "3.0 GiB")])
def test_sizes_in_words(count: int, text: str) -> None:
    assert size(count) == text
