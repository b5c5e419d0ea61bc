import re
from pathlib import Path
from typing import Any

import pytest

import gridmodel as gm
from gridmodel import devices

PAGE = (Path(__file__).parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    assert names["result"].status is gm.Status.CERTIFIED
    assert re.search(r"^\d+\.\d\d EUR a day, [1-9]\d*\.\d kWh charged$", capsys.readouterr().out)


def test_every_device_stands_in_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert {*rows, "simbench_days", "synthetic_days"} == set(devices.__all__)
