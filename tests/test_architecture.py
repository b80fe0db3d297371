"""The plan of the house: imports point one way, public names are documented, importing is cheap."""

import ast
import inspect
import pkgutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import thinout

SOURCE = Path(thinout.ops.__file__).parent.parent
LEVELS = {
    "_checks": 0,
    "_matching": 1,
    "ops": 1,
    "functional": 2,
    "fused": 2,
    "companions": 3,
    "nn": 3,
    "compat": 4,
    "losses": 4,
    "regularization": 4,
    "schedules": 4,
    "surgery": 4,
    "torch_patch": 4,
    "doctor": 4,
    "testing": 4,
    "mc": 5,
    "integrations": 5,
    "lab": 6,
    "cli": 7,
    "__main__": 8,
}
LAB_LEVELS = {
    "data": 0,
    "models": 0,
    "metrics": 0,
    "statistics": 0,
    "rows": 0,
    "tasks": 1,
    "case": 1,
    "cases": 2,
    "training": 3,
    "summary": 4,
    "study": 4,
    "analysis": 4,
    "bench": 4,
    "claims": 6,
    "report": 5,
}
FILES = sorted(SOURCE.rglob("*.py"))


def imported(path):
    """Yield the dotted names of thinout's own modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("thinout."))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "thinout":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(names, levels):
    return levels[names[0]]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_downwards(path):
    own = path.relative_to(SOURCE).with_suffix("").parts
    if own == ("__init__",):
        return
    for name in imported(path):
        target = name.split(".")[1:]
        if target[0] not in LEVELS:  # a name of the package root, such as __version__
            assert own[0] in ("cli", "lab"), f"{path} imports {name} from the package root"
            continue
        if own[0] != target[0]:
            assert LEVELS[own[0]] > LEVELS[target[0]], f"{path} imports {name}"
        elif own[0] == "lab" and len(target) > 1 and own[1] != target[1] and own[1] != "__init__":
            assert LAB_LEVELS[own[1]] > LAB_LEVELS[target[1]], f"{path} imports {name}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_assert_stands_in_library_code(path):
    asserts = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]
    assert not asserts, f"{path} asserts in lines {asserts}"


def test_importing_the_core_loads_nothing_heavy():
    code = "import sys, torch; before = set(sys.modules); import thinout; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"triton", "matplotlib", "accelerate", "scipy", "pooch", "rich", "typer", "jinja2", "torchmetrics", "dask"}
    heavy |= {"lightning", "pytorch_lightning", "transformers"}
    assert not heavy & {name.partition(".")[0] for name in loaded}
    assert not any(name.startswith(("thinout.lab", "thinout.cli", "thinout.integrations")) for name in loaded)


def public_modules():
    names = (module.name for module in pkgutil.walk_packages(thinout.__path__, "thinout."))
    return [name for name in names if not any(part.startswith("_") for part in name.split(".")[1:])]


@pytest.mark.parametrize("name", public_modules())
def test_public_names_are_documented(name):
    module = import_module(name)
    assert module.__doc__
    for public in getattr(module, "__all__", []):
        value = getattr(module, public)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"{name}.{public} has no docstring"


def test_every_exported_name_exists():
    for name in public_modules():
        module = import_module(name)
        for public in getattr(module, "__all__", []):
            assert hasattr(module, public), f"{name}.{public}"
