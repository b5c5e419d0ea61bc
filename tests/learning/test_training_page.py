"""The code of the page about training runs, in order, and does what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from gridmodel.cli import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    assert "held out, exact load flow" in capsys.readouterr().out
    assert sorted(path.name for path in Path("policies").iterdir()) == sorted(
        f"battery-{k}.{ending}" for k in range(3) for ending in ("onnx", "json")
    )
    assert -30 <= names["kilowatts"] <= 30
    assert names["reward"] == pytest.approx(-(names["about"]["cost"] + 1000 * names["about"]["violation_pu"]))
    assert names["parallel"].possible_agents == ["battery[0]", "battery[1]", "battery[2]"]


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_options_on_the_page_are_those_of_the_command(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    for line in re.findall(rf"^gridmodel {command} .*", PAGE, re.MULTILINE):
        assert set(re.findall(r"--[a-z-]+", line)) <= known
    if command == "train":
        assert {"--target-cost", "--target-share", "--device", "--no-verify", "--no-optimum", "--resume"} <= known
