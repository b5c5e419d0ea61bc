"""Finding, listing and building the models that a command line can name."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from gridmodel.errors import DataError, ModelError, UnknownNameError

if TYPE_CHECKING:
    from gridmodel.language.model import Model

_CASES = (".m", ".dss", ".json")

__all__ = ["Shipped", "load_model", "read_model", "shipped_models"]


@dataclass(frozen=True)
class Shipped:
    """A model of the shelf: its name, its file, the first line of its text, its options as written."""

    name: str
    path: Path
    summary: str
    options: str


def shipped_models() -> dict[str, Shipped]:
    """The shipped models by name, read without importing any of them."""
    package = Path(__file__).resolve().parent
    for folder in (package / "_models", package.parent / "models"):
        if folder.is_dir():
            files = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
            return {path.stem: _read_shipped(path) for path in files}
    return {}


def read_model(name: str, /, **options: Any) -> Model:
    """The model that ``name`` names on the command line too, e.g. ``gm.read_model("grid_edge", agents=100)``.

    Args:
        name: a Python file that defines ``build(**options)``, a network file (.m, .dss, .json), or a shipped model.
        options: of the model; text is read as ``--set`` reads it.

    Raises:
        ModelError: as of ``load_model``.
    """
    return load_model(name, options)


def load_model(name: str, options: Mapping[str, Any]) -> Model:
    """The model that a command line names.

    Args:
        name: a Python file that defines ``build(**options)``, a network file (.m, .dss, .json), or a shipped model.
        options: by name; text, as ``--set`` gives it, becomes what the option's default asks for.

    Raises:
        UnknownNameError: nothing of that name, or no such option.
        DataError: an option's text that does not fit.
        ModelError: the file cannot be read or its code fails; the text names the user's file and line.
    """
    path = Path(name)
    shipped = shipped_models()
    if name in shipped:
        return _from_python(shipped[name].path, options)
    if path.suffix == ".py" and path.is_file():
        return _from_python(path.resolve(), options)
    if path.suffix.lower() in _CASES and path.is_file():
        return _from_case(path, options)
    raise UnknownNameError(_not_found(name, path, list(shipped)))


def _not_found(name: str, path: Path, shipped: list[str]) -> str:
    if not name:
        return f"no model named; give a .py, .m, .dss or .json file, or a shipped model: {', '.join(shipped)}."
    if path.is_dir():
        return (
            f"{name}: this is a folder; give a .py, .m, .dss or .json file, or a shipped model: {', '.join(shipped)}."
        )
    if path.suffix.lower() in (".py", *_CASES):
        return f"{name}: no such file; give a path that exists, or a shipped model: {', '.join(shipped)}."
    if path.exists():
        return f"{name}: a model is a Python file (.py), a network file (.m, .dss, .json) or a shipped model's name."
    near = get_close_matches(name.lower(), shipped, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"no model {name!r}: shipped are {', '.join(shipped)}; or give a .py, .m, .dss or .json file.{hint}"


def _from_python(path: Path, options: Mapping[str, Any]) -> Model:
    from gridmodel.language.model import Model

    with _running(path):
        module = _load(path)
    build = getattr(module, "build", None)
    if not callable(build):
        raise ModelError(f"{path.name} defines no function build(**options) that returns a gridmodel.Model.")
    arguments = _arguments(build, options, path.name)
    with _running(path):
        model = build(**arguments)
    if not isinstance(model, Model):
        raise ModelError(f"build() in {path.name} returned {type(model).__name__}, expected a gridmodel.Model.")
    return model


def _from_case(path: Path, options: Mapping[str, Any]) -> Model:
    from gridmodel.grid.read import read_network
    from gridmodel.physics.opf import opf

    arguments = _arguments(opf, options, "gridmodel.opf", skip=1)
    with _running(path):
        return opf(read_network(str(path)), **arguments)


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"gridmodel_file_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path} cannot be loaded as Python code.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def _running(path: Path) -> Iterator[None]:
    """Lets the user's code import files beside it; an exception becomes one line that names it and its place."""
    folder = str(path.parent)
    sys.path.insert(0, folder)
    try:
        yield
    except ModelError:
        raise
    except (Exception, SystemExit) as error:
        text = " ".join(str(error).split()) or "no message"
        raise ModelError(f"{type(error).__name__}: {text} ({_place(error, path)})") from error
    finally:
        sys.path.remove(folder)


def _place(error: BaseException, path: Path) -> str:
    """The innermost line of the user's file, or of a file beside it, that the exception passed."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    folder = path.resolve().parent
    own = [one for one in frames if not one.filename.startswith("<") and Path(one.filename).resolve().parent == folder]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else path.name


def _arguments(function: Callable[..., Any], options: Mapping[str, Any], where: str, skip: int = 0) -> dict[str, Any]:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[skip:]
    known = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    words = ", ".join(known) or "none"
    for key in options:
        if key not in known and not anything:
            near = get_close_matches(key, list(known), 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UnknownNameError(f"{where} has no option {key!r}; its options are: {words}.{hint}")
    missing = [key for key, p in known.items() if p.default is p.empty and key not in options]
    if missing:
        raise UnknownNameError(f"{where} needs the option {missing[0]!r}: give --set {missing[0]}=VALUE.")
    return {key: _value(given, known[key]) if key in known else _guess(given) for key, given in options.items()}


def _value(text: Any, parameter: inspect.Parameter) -> Any:
    """The text of an option as bool, int, float or str, as its default and its annotation ask."""
    key, default = parameter.name, parameter.default
    if isinstance(default, str) or not isinstance(text, str):
        return text
    value = _guess(text)
    if "str" in str(parameter.annotation):  # e.g. int | str
        return value
    if isinstance(default, bool):
        fits, expected = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        fits, expected = isinstance(value, int) and not isinstance(value, bool), "a whole number"
    elif isinstance(default, float):
        fits, expected = isinstance(value, int | float) and not isinstance(value, bool), "a number"
    else:
        return value
    if not fits:
        raise DataError(f"option {key!r}: expected {expected}, got {text!r}; give e.g. --set {key}={default}.")
    return float(value) if isinstance(default, float) else value


def _guess(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _read_shipped(path: Path) -> Shipped:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    summary = (ast.get_docstring(tree) or "").split("\n")[0]
    options = ""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "build":
            names = [*node.args.args, *node.args.kwonlyargs]
            defaults = [*node.args.defaults, *node.args.kw_defaults]
            texts = [ast.unparse(value) if value else "..." for value in defaults]
            texts = ["..."] * (len(names) - len(texts)) + texts
            options = " ".join(f"{a.arg}={t}" for a, t in zip(names, texts, strict=True))
    return Shipped(path.stem, path, summary, options)
