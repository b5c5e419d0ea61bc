"""The command line: exit status, one line for bad input, JSON, pictures, pipes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import gridmodel as gm
from gridmodel.cli import main
from gridmodel.ir.result import Result, Status

HEAD = "import cvxpy as cp\nimport gridmodel as gm\n\ndef build(demand=4.0):\n    model = gm.Model('two')\n"
TWO = (
    HEAD
    + """\
    for name, price in [("a", 1.0), ("b", 2.0)]:
        agent = model.agent(name)
        p = agent.variable("p", bounds=(0, 3), unit="kW")
        agent.minimize(price * cp.square(p))
    model.couple(model["a"]["p"] + model["b"]["p"] == demand, name="balance")
    return model
"""
)
UNBOUNDED = (
    HEAD
    + """\
    for name in "ab":
        agent = model.agent(name)
        agent.minimize(-agent.variable("p", bounds=(0, None)))
    model.couple(model["a"]["p"] - model["b"]["p"] <= demand, name="limit")
    return model
"""
)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def two(tmp_path: Path) -> str:
    """Two agents that share 4 kW: 8/3 and 4/3, price 16/3, cost 32/3."""
    path = tmp_path / "two.py"
    path.write_text(TWO)
    return str(path)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def _environment() -> dict[str, str]:
    """A subprocess finds the same gridmodel as this one."""
    root = Path(gm.__file__).parents[1]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "solvers")])}


def _process(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gridmodel", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=_environment(), check=False)


def test_list_names_models_and_options(run: Run) -> None:
    status, out, err = run("list")
    assert (status, err) == (0, "")
    assert "lmp\n    Two buses" in out
    assert "--set line=60.0 load=100.0" in out


def test_list_is_quick_because_it_imports_nothing_heavy() -> None:
    code = "import sys; from gridmodel.cli import main; main(['list']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environment())
    assert not {"cvxpy", "scipy", "matplotlib", "networkx", "rich"} & set(done.stderr.split())


def test_solve_prints_a_certified_answer(run: Run, two: str) -> None:
    status, out, err = run("solve", two, "--algorithm", "admm")
    assert (status, err) == (0, "")
    assert "two, admm: certified" in out
    assert "central optimum" in out


@pytest.mark.parametrize("algorithm", ["admm", "dual", "central", "auto"])
def test_json_on_the_standard_output_is_the_answer_alone(run: Run, two: str, algorithm: str) -> None:
    status, out, err = run("solve", two, "--algorithm", algorithm, "--json", "-", "--tolerance", "1e-6")
    assert (status, err) == (0, "")
    read = json.loads(out)
    assert read["model"] == "two"
    assert read["value"] == pytest.approx(32 / 3, rel=1e-5)
    assert read["variables"]["a"]["p"] == pytest.approx(8 / 3, abs=1e-3)
    assert read["prices"]["balance"] == pytest.approx(16 / 3, abs=1e-3)
    assert read["duals"]["balance"] == pytest.approx(-16 / 3, abs=1e-3)
    assert read["certificate"]["central_value"] == pytest.approx(32 / 3, rel=1e-5)


def test_options_of_the_model_and_files(run: Run, two: str, tmp_path: Path) -> None:
    answer, picture = tmp_path / "answer.json", tmp_path / "picture.png"
    status, out, _ = run(
        "solve", two, "--set", "demand=3", "--algorithm", "admm", "--json", str(answer), "--plot", str(picture)
    )
    assert status == 0
    assert "certified" in out
    assert json.loads(answer.read_text())["value"] == pytest.approx(6.0, rel=1e-3)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_without_verify_nothing_is_solved_centrally(run: Run, two: str) -> None:
    status, out, _ = run("solve", two, "--no-verify", "--algorithm", "admm", "--json", "-")
    assert status == 0
    assert json.loads(out)["certificate"]["central_value"] is None


def test_too_few_rounds_is_status_1(run: Run, two: str) -> None:
    status, out, _ = run("solve", two, "--algorithm", "admm", "--max-rounds", "1", "--tolerance", "1e-9", "--json", "-")
    assert status == 1
    read = json.loads(out)
    assert read["status"] == "stopped"
    assert read["rounds"] == 1


def test_infeasible_is_status_3_and_names_the_coupling(run: Run, two: str) -> None:
    status, out, _ = run("solve", two, "--set", "demand=40")
    assert status == 3
    assert "infeasible" in out
    assert "balance" in out


def test_unbounded_is_status_3(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "unbounded.py"
    path.write_text(UNBOUNDED)
    status, out, _ = run("solve", str(path), "--algorithm", "central", "--json", "-")
    assert status == 3
    assert json.loads(out)["status"] == "unbounded"
    assert json.loads(out)["value"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["solve", "no_such_model"], "no model 'no_such_model'"),
        (["solve", "lmp", "--set", "lines=3"], "no option 'lines'; its options are: line, load"),
        (["solve", "lmp", "--set", "line"], "--set takes KEY=VALUE, got 'line'"),
        (["solve", "lmp", "--algorithm", "magic"], "magic"),
        (["solve", "lmp", "--json", "no/such/folder/a.json"], "the folder no/such/folder does not exist"),
        (["solve", "lmp", "--plot", "."], "this is a folder; give a file's name"),
        (["solve", "lmp", "--json", "."], "this is a folder; give a file's name"),
        (["solve", "lmp", "--json", ""], "--json: the file's name is empty"),
        (["solve", "lmp", "--tolerance", "0"], "a tolerance lies between 0 and 1, got '0'"),
        (
            ["solve", "dc_opf", "--set", "areas=0"],
            "areas=0: expected a whole number from 1 to the number of buses, 118",
        ),
        (["solve", "dc_opf", "--set", "areas=1000"], "areas=1000: expected a whole number from 1 to"),
        (["solve", "dc_opf", "--set", "areas=abc"], "areas='abc': expected a number, \"file\", or a mapping"),
        (["solve", "dc_opf", "--set", "areas=nan"], "areas=nan: expected a whole number from 1 to"),
        (["solve", "dc_opf", "--set", "area=3"], "has no option 'area'; its options are: case, areas"),
        (["solve", "dc_opf", "--set", "case="], "'': no reader for a file without suffix"),
        (["solve", "economic_dispatch", "--set", "demand=1e308"], "a constant that is NaN, infinite (1e20 or more)"),
        (["solve", "economic_dispatch", "--set", "demand=nan"], "coupling 'balance' at economic_dispatch.py:"),
        (["solve", "lmp", "--plot", "picture.bmp"], "the ending must be one of .png"),
        (["solve", "lmp", "--tolerance", "2"], "a tolerance lies between 0 and 1, got '2'"),
        (["solve", "lmp", "--tolerance", "small"], "a tolerance lies between 0 and 1, got 'small'"),
        (["solve", "lmp", "--max-rounds", "-3"], "a whole number of at least 1 is expected, got '-3'"),
        (["solve", "lmp", "--wrong"], "unrecognized arguments: --wrong"),
        (["solve"], "the following arguments are required: MODEL"),
        (["fly"], "invalid choice: 'fly'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_bad_input_is_one_line_and_status_2(run: Run, arguments: list[str], message: str) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("gridmodel: ")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.py", "x = 1", "a.py defines no function build"),
        ("a.py", "def build():\n    return 3", "build() in a.py returned int, expected a gridmodel.Model"),
        ("a.py", TWO.replace("price *", "float('nan') *"), "a: the cost at a.py:9 holds a constant that is NaN"),
        ("a.py", TWO.replace("(0, 3)", "(0, float('nan'))"), "variable a.p: the upper bound is NaN"),
        ("a.py", "def build(:", "SyntaxError: invalid syntax"),
        ("a.m", "", "a.m:1: the file ends without mpc.baseMVA"),
        ("a.m", "hello", "a.m:1: a statement that computes: got `hello`"),
        ("a.m", "mpc.baseMVA = 100;\nmpc.bus = [\n1 2", "a.m:2: mpc.bus opens with `[` and is not closed"),
        ("a.txt", TWO, "a model is a Python file (.py), a network file (.m, .dss, .json)"),
    ],
)
def test_a_wrong_file_is_one_line_and_status_2(run: Run, tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    for command in ("solve", "explain", "compare"):
        status, out, err = run(command, str(tmp_path / name))
        assert (status, out) == (2, "")
        assert err.startswith("gridmodel: ")
        assert message in err
        assert err.count("\n") == 1


def test_outputs_are_checked_before_the_long_work(run: Run, two: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("solved before the outputs were checked")

    monkeypatch.setattr(gm, "solve", never)
    folder = str(Path(two).parent)
    for flag in (["--json", folder], ["--plot", f"{folder}/missing/a.png"]):
        assert run("solve", two, *flag)[0] == 2


def test_an_exception_of_the_users_build_is_one_line(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("def build():\n    data = {}\n    return data['load']")
    status, _, err = run("explain", str(path))
    assert (status, err) == (2, "gridmodel: KeyError: 'load' (broken.py:3)\n")


def test_an_interrupted_solve_keeps_what_it_has(
    run: Run, two: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dispatch_result: Result
) -> None:
    stopped = replace(dispatch_result, status=Status.INTERRUPTED)
    monkeypatch.setattr(gm, "solve", lambda *_, **__: stopped)
    answer = tmp_path / "answer.json"
    assert run("solve", two, "--json", str(answer))[0] == 130
    assert json.loads(answer.read_text())["status"] == "interrupted"


def test_an_interrupt_of_the_comparison_keeps_the_answer(run: Run, two: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: Result) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gm, "verify", interrupt)
    status, out, _ = run("solve", two, "--json", "-")
    assert status == 130
    assert json.loads(out)["value"] == pytest.approx(32 / 3, rel=1e-3)
    assert json.loads(out)["certificate"]["central_value"] is None


def test_a_real_interrupt_ends_a_long_solve_with_its_answer(tmp_path: Path) -> None:
    path, answer = tmp_path / "long.py", tmp_path / "answer.json"
    path.write_text(
        "import os, signal, sys, threading, time\n"
        "from gridmodel.modelfile import load_model\n"
        "def files():\n"
        "    frame = sys._current_frames()[threading.main_thread().ident]\n"
        "    while frame:\n"
        "        yield os.path.basename(frame.f_code.co_filename)\n"
        "        frame = frame.f_back\n"
        "def press():\n"
        "    while 'fused.py' not in files():  # not before the rounds, however long a busy machine compiles\n"
        "        time.sleep(0.05)\n"
        "    time.sleep(0.5)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "def build():\n"
        "    # A shell starts background jobs, and so these tests perhaps, with Ctrl-C ignored.\n"
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    threading.Thread(target=press, daemon=True).start()\n"
        "    return load_model('community', {'homes': '500'})\n"
    )
    done = _process("solve", str(path), "--algorithm", "admm", "--tolerance", "1e-15", "--json", str(answer))
    assert (done.returncode, done.stderr) == (130, "")
    assert json.loads(answer.read_text())["status"] == "interrupted"


def test_an_interrupt_before_an_answer_is_status_130(run: Run, two: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gm, "solve", interrupt)
    status, out, err = run("solve", two)
    assert (status, out) == (130, "")
    assert err == "gridmodel: interrupted before there was an answer\n"


def test_explain_tells_structure_and_verdicts(run: Run, two: str) -> None:
    status, out, err = run("explain", two)
    assert (status, err) == (0, "")
    assert "two: QP, 2 agents" in out
    assert "balance" in out
    assert "auto picks" in out


def test_compare_sets_algorithms_side_by_side(run: Run, two: str) -> None:
    status, out, _ = run("compare", two, "--json", "-")
    assert status == 0
    found = json.loads(out)
    assert {"central", "admm", "dual"} <= set(found["results"])
    for name, result in found["results"].items():
        assert result["value"] == pytest.approx(32 / 3, rel=1e-3), name


def test_compare_prints_a_table(run: Run, two: str) -> None:
    status, out, _ = run("compare", two)
    assert status == 0
    assert out.startswith("algorithm")
    assert "central" in out


def test_a_pipe_gets_neither_colors_nor_progress(two: str) -> None:
    done = _process("solve", two, "--algorithm", "admm")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert done.stderr == ""


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = [sys.executable, "-m", "gridmodel", "list"]
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, env=_environment(), check=False)
    assert (done.returncode, done.stderr) == (0, "")
