"""JSON: the contract's keys, plain numbers, and nothing that JSON does not know."""

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from gridmodel.ir.result import Result, Status
from gridmodel.report.json import as_dict, plain, to_json

KEYS = [
    "model",
    "algorithm",
    "status",
    "value",
    "variables",
    "prices",
    "duals",
    "rounds",
    "messages",
    "bytes",
    "seconds",
    "certificate",
]
PROOF = ["primal_residual", "dual_residual", "lower_bound", "gap", "central_value", "central_gap", "price_error"]


def _strict(text: str) -> dict:
    def refuse(word: str) -> float:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_the_object_has_the_keys_of_the_contract(dispatch_result: Result) -> None:
    read = _strict(to_json(as_dict(dispatch_result)))
    assert list(read) == KEYS
    assert list(read["certificate"]) == PROOF
    assert list(read["seconds"]) == ["compile", "solve", "verify"]


def test_numbers_survive_the_way_through_the_text(dispatch_result: Result) -> None:
    read = _strict(to_json(as_dict(dispatch_result)))
    assert read["status"] == "certified"
    assert read["variables"] == {"g1": {"p": 2.06}, "g2": {"p": 1.0}, "g3": {"p": 1.04}}
    assert (read["prices"]["balance"], read["duals"]["balance"]) == (1.02, -1.02)
    assert (read["rounds"], read["messages"], read["bytes"]) == (40, 240, 1920)


def test_arrays_become_lists_of_their_shape(dispatch_result: Result) -> None:
    fleet = replace(dispatch_result, variables={"home": {"grid": np.arange(6.0).reshape(2, 3)}})
    assert as_dict(fleet)["variables"]["home"]["grid"] == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]


def test_what_is_not_finite_becomes_null(infeasible_result: Result) -> None:
    odd = replace(infeasible_result, value=np.inf, price={"cone": None, "row": np.array([1.0, np.nan])})
    read = _strict(to_json(as_dict(odd)))
    assert read["value"] is None
    assert read["certificate"] is None
    assert read["prices"] == {"cone": None, "row": [1.0, None]}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (1 + 2j, [1.0, 2.0]),
        (np.array([1j]), [[0.0, 1.0]]),
        (Status.SOLVED, "solved"),
        ({1: (2, 3)}, {"1": [2, 3]}),
        (sp.eye_array(2, format="csr"), [[1.0, 0.0], [0.0, 1.0]]),
        (-np.inf, None),
    ],
)
def test_any_value_becomes_plain(value: object, expected: object) -> None:
    assert plain(value) == expected
