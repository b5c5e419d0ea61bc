"""What the README shows is true."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from gridmodel.cli import main
from gridmodel.modelfile import shipped_models

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_example_runs_and_gives_the_numbers_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    result = names["result"]
    assert result["g1"]["p"] == pytest.approx(2.06, abs=1e-4)
    assert result.price["balance"] == pytest.approx(1.02, abs=1e-4)
    assert result.dual["balance"] == pytest.approx(-1.02, abs=1e-4)
    assert "central optimum    3.601" in capsys.readouterr().out


def test_the_main_job_runs_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = re.search(r"```sh\n(.*?)\n```", README, re.DOTALL)
    assert job is not None
    monkeypatch.chdir(tmp_path)
    commands = [shlex.split(part) for part in job[1].split("&&")]
    own = [words[1:] for words in commands if words[0].endswith("/gridmodel")]
    assert [words[0] for words in own] == ["explain", "solve"]
    assert [main(words) for words in own] == [0, 0]
    assert (tmp_path / "dc_opf.png").read_bytes().startswith(b"\x89PNG")


def test_every_shipped_model_stands_in_the_table_with_its_options() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", README, re.MULTILINE))
    assert rows.keys() == shipped_models().keys()
    for name, model in shipped_models().items():
        assert re.findall(r"`(\w+)`", rows[name]) == re.findall(r"(\w+)=", model.options), name
