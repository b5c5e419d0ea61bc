"""Models are found by name or file, options are read as their defaults ask, and errors name the user's line."""

from collections.abc import Callable
from pathlib import Path

import pytest

import gridmodel as gm
from gridmodel.errors import DataError, ModelError, UnknownNameError
from gridmodel.modelfile import load_model, shipped_models

GOOD = """\
import gridmodel as gm

def build(size=2, price=1.5, name="a", big=False, extra=None):
    assert type(size) is int and type(price) is float and type(name) is str and type(big) is bool
    model = gm.Model(f"{size} {price} {name} {big} {extra}")
    model.agent("x").variable("p")
    return model
"""

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a model file and gives its path."""

    def put(text: str, name: str = "mine.py") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return put


def test_every_shipped_model_is_listed_with_its_first_line_and_options() -> None:
    shelf = shipped_models()
    assert {"economic_dispatch", "lmp", "community"} <= set(shelf)
    assert shelf["lmp"].summary.startswith("Two buses")
    assert shelf["lmp"].options == "line=60.0 load=100.0"
    assert all(len(model.summary) > 20 and model.summary.endswith(".") for model in shelf.values())


def test_a_shipped_model_is_built_by_name() -> None:
    assert load_model("lmp", {"line": "70"}).name == "two-bus prices"


def test_options_take_the_type_of_their_default(write: Write) -> None:
    assert load_model(write(GOOD), {}).name == "2 1.5 a False None"
    chosen = {"size": "7", "price": "3", "name": "12", "big": "true", "extra": "1e-3"}
    assert load_model(write(GOOD), chosen).name == "7 3.0 12 True 0.001"


@pytest.mark.parametrize(
    ("option", "expected"), [("size=2.5", "a whole number"), ("price=x", "a number"), ("big=1", "true or false")]
)
def test_an_option_of_another_type_is_refused(write: Write, option: str, expected: str) -> None:
    key, text = option.split("=")
    with pytest.raises(DataError, match=f"option '{key}': expected {expected}, got '{text}'"):
        load_model(write(GOOD), {key: text})


def test_an_annotation_may_permit_text_beside_numbers(write: Write) -> None:
    text = "import gridmodel as gm\ndef build(areas: int | str = 4): return gm.Model(repr(areas))"
    assert load_model(write(text), {"areas": "file"}).name == "'file'"
    assert load_model(write(text), {"areas": "3"}).name == "3"


def test_an_unknown_option_names_the_known_ones(write: Write) -> None:
    with pytest.raises(UnknownNameError, match=r"'prize'; its options are: size, price, name, big, extra.*'price'\?"):
        load_model(write(GOOD), {"prize": "2"})


def test_a_missing_option_is_named(write: Write) -> None:
    with pytest.raises(UnknownNameError, match=r"needs the option 'size': give --set size=VALUE"):
        load_model(write("def build(size): ..."), {})


def test_free_options_are_handed_on(write: Write) -> None:
    text = "import gridmodel as gm\ndef build(**options): return gm.Model(str(options))"
    assert load_model(write(text), {"a": "1", "b": "x"}).name == "{'a': 1, 'b': 'x'}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def build():\n    return 1 / 0", r"ZeroDivisionError: division by zero \(mine\.py:2\)"),
        ("def build():\n    return help_me()", r"NameError: .*help_me.*\(mine\.py:2\)"),
        ("import nothing_of_this_name", r"ModuleNotFoundError: .*\(mine\.py:1\)"),
        ("def build(:\n    pass", r"SyntaxError: .*\(mine\.py:1\)"),
        ("\nraise SystemExit('no')", r"SystemExit: no \(mine\.py:2\)"),
        ("import numpy as np\ndef build():\n    np.zeros(2) + np.ones(3)", r"ValueError: .*\(mine\.py:3\)"),
        ("x = 1", r"mine\.py defines no function build"),
        ("def build():\n    return 3", r"build\(\) in mine\.py returned int, expected a gridmodel\.Model"),
    ],
)
def test_an_error_of_the_users_code_is_one_line_with_its_place(write: Write, text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        load_model(write(text), {})
    assert "\n" not in str(caught.value)


def test_an_error_in_a_file_beside_the_model_names_that_file(write: Write) -> None:
    write("def fail():\n    raise KeyError('data')", "beside_mine.py")
    with pytest.raises(ModelError, match=r"KeyError: 'data' \(beside_mine\.py:2\)"):
        load_model(write("import beside_mine\ndef build():\n    beside_mine.fail()"), {})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lpm", r"no model 'lpm': shipped are .*Did you mean 'lmp'\?"),
        ("no/such/file.py", r"no/such/file\.py: no such file"),
        ("no_such_case.m", r"no_such_case\.m: no such file"),
        (".", r"\.: this is a folder; give a \.py, \.m, \.dss or \.json file"),
        ("", r"no model named; give a \.py, \.m, \.dss or \.json file, or a shipped model: acopf"),
        ("DC_OPF", r"Did you mean 'dc_opf'\?"),
    ],
)
def test_what_is_not_there_is_named(name: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        load_model(name, {})


def test_code_without_a_file_is_no_line_of_the_user(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the current folder is the file's, text that Python made up itself would seem to lie there."""
    monkeypatch.chdir(tmp_path)
    path = write("def build():\n    exec('def f():\\n    raise ValueError(1)\\nf()')\n")
    with pytest.raises(ModelError, match=r"ValueError: 1 \(mine.py:2\)"):
        load_model(path, {})


def test_python_reads_models_as_the_command_line_does(write: Write) -> None:
    path = write(GOOD)
    assert gm.read_model(path).name == "2 1.5 a False None"
    assert gm.read_model(path, size=3, price="2", name="b", big=True, extra=[1]).name == "3 2.0 b True [1]"
    assert gm.read_model("lmp", load=90.0).name == load_model("lmp", {"load": "90"}).name
    with pytest.raises(UnknownNameError, match="no option 'sise'"):
        gm.read_model(path, sise=3)
