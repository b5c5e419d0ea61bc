"""What the pages of the documentation show is true: options, commands, links, code."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import gridmodel as gm
from gridmodel.cli import main
from gridmodel.ir.claim import FAULTS
from gridmodel.methods import methods, over_channel
from gridmodel.modelfile import shipped_models

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "benchmarks" / "README.md"])


def section(name: str) -> str:
    text = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, name
    return found[1]


@pytest.mark.parametrize("name", sorted(shipped_models()))
def test_every_shipped_model_has_a_section_with_its_options_and_a_picture(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = section(name)
    assert re.findall(r"^\| `(\w+)`", text, re.MULTILINE) == re.findall(r"(\w+)=", shipped_models()[name].options)
    command = re.search(r"```sh\n(.*?)\n```", text, re.DOTALL)
    assert command is not None
    words = shlex.split(command[1])
    assert words[:3] == ["gridmodel", "solve", name]
    monkeypatch.chdir(tmp_path)
    assert main(words[1:]) == 0
    assert len(list(tmp_path.glob("*.png"))) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_code_of_the_power_flow_page_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "dc_opf.md").read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    exec(code[1], names)
    assert names["result"].status is gm.Status.CERTIFIED
    assert list(names["prices"]) == list(range(1, 31))


@pytest.mark.parametrize("page", ["grid.md", "opf.md"])
def test_the_code_of_the_grid_pages_runs(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(ROOT)
    names: dict[str, Any] = {}
    for block in code:
        exec(block, names)
    if page == "opf.md":
        assert names["result"].status is gm.Status.CERTIFIED
        assert gm.solve(names["gm"].opf(names["net"], "ac"), "central").value == pytest.approx(2178.08, abs=0.01)


def test_every_status_is_explained() -> None:
    text = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    assert all(f"`{status.value}`" in text for status in gm.Status)


def test_the_table_of_claims_is_what_the_algorithms_claim() -> None:
    words = {"biased": "beside"}
    page = (ROOT / "docs" / "channel.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w:-]+)` \| ([a-z, ]+) \| (.*) \|$", page, re.MULTILINE)
    found = {name: (rule, cells.split(" | ")) for name, rule, cells in rows if len(cells.split(" | ")) == len(FAULTS)}
    claiming = {name.partition(":")[0] for name, made in methods().items() if over_channel(made).claims}
    assert {name.partition(":")[0] for name in found} == claiming
    for name, (rule, cells) in found.items():
        algorithm = over_channel(methods()[name])
        assert rule == algorithm.lost
        for fault, cell in zip(FAULTS, cells, strict=True):
            claim = algorithm.claims[fault]
            text = words.get(claim.outcome, claim.outcome)
            if claim.error is not None:
                low, high = claim.error
                text += f" {low:.2g}" if low == high else f" {low:.2g}-{high:.2g}"
            assert cell == text + "*" * bool(claim.condition), (name, fault)


@pytest.mark.parametrize("page", ["channel"])
def test_the_code_of_a_page_runs(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    names: dict[str, Any] = {}
    exec(code[1], names)
    assert names["result"].status is gm.Status.CERTIFIED
    assert names["result"].price["balance"] == pytest.approx(1.02, abs=1e-3)
    assert "warning: dual-consensus does not reach the optimum under delay" in capsys.readouterr().out
