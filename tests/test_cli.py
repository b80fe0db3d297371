"""The command line as a user types it: results on standard output, one sentence and a status for everything else."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import thinout
from thinout.cli import run

OWN_CASE = """
import torch
from torch import nn
from torch.utils.data import TensorDataset
import thinout.nn as tnn
from thinout.lab.case import Case, Recipe
from thinout.lab.data import Splits

def part(num, seed):
    x = torch.randn(num, 6, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(x, (x[:, 0] + x[:, 1] > 0).long())

def model(p):
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), tnn.Dropout(p), nn.Linear(16, 2))

def make_case():
    splits = Splits(train=part(96, 1), validation=part(32, 2), test=part(64, 3), num_classes=2, shape=(6,))
    return Case(name="mine", model=model, data=splits, recipe=Recipe(epochs=3))

def wrong():
    return 5

def raising():
    raise KeyError("no such column")

def nan_case():
    case = make_case()
    return Case(name="nan", model=lambda p: nn.Sequential(model(p), Nan(p)), data=case.data, recipe=case.recipe)

class Nan(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p
    def forward(self, x):
        return x * (float("nan") if self.p == 0.5 else 1.0)
"""


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    (tmp_path / "own_case.py").write_text(OWN_CASE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_case", raising=False)
    return tmp_path


def test_summary_shows_where_dropout_sits(capsys):
    assert run(["summary", "lenet5", "--p", "1/3"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"Conv2d\s+32x28x28\s+\(32-5\+2\*0\)/1\+1\s+832", text)
    assert len(re.findall(r"Dropout\s+\S+\s+0\.333", text)) == 2
    assert "6,650,762 parameters" in text  # 32*26 + 64*(25*32+1) + 4096*1601 + 10*4097


def test_summary_for_machines(capsys):
    assert run(["summary", "lenet5-1998", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["parameters"] == 6 * 26 + 16 * 151 + 120 * 401 + 84 * 121 + 10 * 85
    assert [layer["p"] for layer in content["layers"] if layer["p"] is not None]


def test_data_list_and_check(capsys):
    assert run(["data", "list", "--json"]) == 0
    states = {each["name"]: each["state"] for each in json.loads(capsys.readouterr().out)}
    assert states["fashion-mnist-small"] == "here"
    assert run(["data", "check", "fashion-mnist-small"]) == 0


def test_an_own_case_is_studied_and_reported(workplace, capsys):
    command = ["study", "own_case:make_case", "--p", "0.5", "--seeds", "2", "--jobs", "1", "--folder", "out", "--json"]
    assert run(command) == 0
    content = json.loads(capsys.readouterr().out)
    assert [arm["arm"] for arm in content["arms"]] == ["none", "p=0.5"]
    assert content["headline"]["verdict"] == "too few seeds"
    page = workplace / "out" / "report.html"
    first = page.read_bytes()
    assert run(command) == 0  # nothing is left to do
    assert run(["report", "out"]) == 0
    assert page.read_bytes() == first
    assert "Report: out/report.html" in capsys.readouterr().out


def test_a_dry_run_trains_nothing(workplace, capsys):
    assert run(["study", "own_case:make_case", "--seeds", "3", "--folder", "out", "--dry-run"]) == 0
    assert "12 runs to go" in capsys.readouterr().err
    assert not (workplace / "out" / "rows").exists()


def test_a_run_that_turns_nan_fails_and_the_others_go_on(workplace, capsys):
    command = ["study", "own_case:nan_case", "--p", "0.2,0.5", "--seeds", "1", "--jobs", "1", "--folder", "out"]
    assert run(command) == 1
    captured = capsys.readouterr()
    assert re.search(r"p=0\.5, seed 0 failed: .*not finite|p=0\.5, seed 0 failed: .*NaN|nan", captured.err)
    assert (workplace / "out" / "report.html").exists()
    assert len(list((workplace / "out" / "rows").glob("*/seed-0.json"))) == 3


def test_training_goes_on_and_leaves_weights(workplace, capsys):
    command = ["train", "own_case:make_case", "--p", "0.2", "--folder", "out", "--json"]
    assert run([*command, "--set", "epochs=2"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["status"] == "done"
    assert 0 <= content["metrics"]["test"]["error"] <= 1
    assert (workplace / "out" / "weights.pt").exists()
    assert (workplace / "out" / "epochs.csv").read_text().startswith("epoch,train_loss")


WRONG = [
    (["study", "lenet6"], 2, "`case` must be one of lenet5, lenet5-1998, got 'lenet6'. Did you mean lenet5?"),
    (["study", "lenet5", "--data", "mnits"], 2, "mnist"),
    (["study", "lenet5", "--p", "1.5"], 2, "`--p` must be a number in [0, 1], got 1.5"),
    (["study", "lenet5", "--p", "nan"], 2, "`--p` must be a number in [0, 1]"),
    (["study", "lenet5", "--p", "half"], 2, "`--p` must be a number in [0, 1], as 0.2 or 1/3, got 'half'"),
    (["study", "lenet5", "--arm", "magic"], 2, "`--arm` must be one of none, weight-decay, got 'magic'"),
    (["study", "lenet5", "--seeds", "0"], 2, "--seeds"),
    (["study", "lenet5", "--metric", "speed"], 2, "'--metric'"),
    (["study", "lenet5", "--set", "lrr=1"], 2, "`--set` must be FIELD=VALUE with a field of"),
    (["study", "lenet5", "--set", "epochs=many"], 2, "`--set epochs` must be of type int, got 'many'"),
    (["study", "lenet5", "--set", "lr=-1"], 2, "`lr` must be a positive number, got -1.0"),
    (["study", "lenet5", "--frobnicate"], 2, "No such option: --frobnicate"),
    (["study"], 2, "Missing"),
    (["dance"], 2, "No such command 'dance'"),
    (["study", "own_case:missing"], 2, "own_case"),
    (["study", "own_case:wrong"], 2, "a thinout.lab.case.Case, got 5"),
    (["study", "own_case:raising"], 2, "raised KeyError"),
    (["study", "no_such_module:make_case"], 2, "cannot be imported"),
    (["train", "own_case:make_case", "--p", "-0.1"], 2, "`--p` must be a number in [0, 1]"),
    (["train", "own_case:make_case", "--tracker", "wandb"], 2, "must be csv or tensorboard, got 'wandb'"),
    (["data", "fetch", "cifar"], 2, "cifar"),
    (["report", "nowhere"], 2, "`folder` must be the folder of a study"),
]


@pytest.mark.parametrize(
    ("command", "status", "words"), WRONG, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bad_input_ends_in_one_sentence(command, status, words, workplace, capsys):
    assert run(command) == status
    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_debug_shows_the_traceback(workplace, capsys):
    assert run(["study", "own_case:raising", "--debug"]) == 2
    assert "KeyError" in capsys.readouterr().err


def test_a_folder_of_another_study_is_refused(workplace, capsys):
    command = ["study", "own_case:make_case", "--p", "0.5", "--seeds", "1", "--jobs", "1", "--folder", "out"]
    assert run(command) == 0
    before = {path: path.read_bytes() for path in (workplace / "out" / "rows").rglob("*.json")}
    assert run([*command, "--set", "epochs=2"]) == 2
    assert "epochs" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (workplace / "out" / "rows").rglob("*.json")} == before


def test_an_unreachable_dask_scheduler_is_named(workplace, capsys):
    command = ["study", "own_case:make_case", "--seeds", "1", "--dask", "tcp://127.0.0.1:9", "--folder", "out"]
    assert run(command) == 1
    assert "tcp://127.0.0.1:9 cannot be reached" in capsys.readouterr().err


def test_the_installed_command_runs_and_knows_its_version():
    command = Path(sys.executable).with_name("thinout")
    shown = subprocess.run([command, "--version"], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == thinout.__version__


def test_without_the_laboratory_one_line_says_what_to_install(tmp_path):
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError(\"No module named 'typer'\", name='typer')")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    shown = subprocess.run(
        [sys.executable, "-m", "thinout", "study"], capture_output=True, text=True, env=environment, timeout=60
    )
    assert shown.returncode == 1
    assert shown.stderr.strip() == "thinout: the command line needs typer. Install it with: pip install 'thinout[lab]'"


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(workplace):
    """The signal comes after the first row is there, with a deadline of 120 s."""
    command = [sys.executable, "-m", "thinout", "study", "own_case:make_case", "--seeds", "60", "--jobs", "1"]
    process = subprocess.Popen([*command, "--folder", "out"], stderr=subprocess.PIPE, text=True, cwd=workplace)
    try:
        deadline = 120
        while not list((workplace / "out").glob("rows/*/*.json")) and deadline:
            try:
                process.wait(timeout=1)
            except subprocess.TimeoutExpired:
                deadline -= 1
        process.send_signal(signal.SIGINT)
        _, shown = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "Give the same command again to go on" in shown.replace("\n", " ")
