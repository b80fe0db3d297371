"""The command line as a user types it: results on standard output, one sentence and a status for everything else."""

import dataclasses
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from _study_runs import made_row, make_study
from scipy import stats

import thinout
from thinout.cli import run
from thinout.cli._output import print_json
from thinout.lab.rows import read_row, row_path
from thinout.lab.study import dask_workers, run_study
from thinout.lab.training._trainer import Trainer

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

def numbers():
    part = TensorDataset(torch.randn(8, 6), torch.randn(8, 2))
    splits = Splits(train=part, validation=part, test=part, num_classes=2, shape=(6,))
    return Case(name="numbers", model=model, data=splits, task="regression")

def wrong():
    return 5

def raising():
    raise KeyError("no such column")

def exiting():
    raise SystemExit("the user's own way out")

def shouting():
    print("a user's print")
    return make_case()

def always_nan():
    case = make_case()
    return Case(name="nan", model=lambda p: nn.Sequential(model(p), Nan(0.5)), data=case.data, recipe=case.recipe)

def needs_neighbour():
    case = make_case()
    def late(p):
        import neighbour
        return model(p)
    return Case(name="late", model=late, data=case.data, recipe=case.recipe, arms=case.arms[:2])

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
    (tmp_path / "exiting_module.py").write_text("raise SystemExit(5)")
    monkeypatch.setattr(sys, "path", [*sys.path])  # an own case leaves its folder there
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


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("mnist", "Get it with `thinout data fetch mnist`, or set THINOUT_DATA to the folder that holds mnist/."),
        (
            "fsdd",
            "Get it from https://github.com/Jakobovski/free-spoken-digit-dataset, or set THINOUT_DATA to the folder ",
        ),
    ],
)
def test_a_set_that_is_not_here_is_to_be_fetched_only_where_that_can_work(tmp_path, monkeypatch, capsys, name, way):
    monkeypatch.setenv("THINOUT_DATA", str(tmp_path))
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path))
    assert run(["data", "check", name]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(way)
    assert ("data fetch" in shown) == (name == "mnist")


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


STUDY = ["study", "own_case:make_case", "--p", "0.5", "--seeds", "1", "--jobs", "1"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A study of one arm and the baseline, two seeds, made once; its folder."""
    place = tmp_path_factory.mktemp("finished")
    (place / "own_case.py").write_text(OWN_CASE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.delitem(sys.modules, "own_case", raising=False)
        patch.setattr(sys, "path", [*sys.path])
        assert run([*STUDY, "--seeds", "2", "--folder", "out"]) == 0
    return place / "out"


@pytest.fixture
def studied(workplace, finished):
    """The working folder, with a finished study in `out`."""
    shutil.copytree(finished, workplace / "out")
    return workplace


def test_a_report_needs_neither_the_case_nor_its_folder(studied, tmp_path_factory, monkeypatch, capsys):
    before = (studied / "out" / "report.html").read_bytes()
    (studied / "own_case.py").unlink()
    monkeypatch.delitem(sys.modules, "own_case", raising=False)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert run(["report", str(studied / "out")]) == 0
    assert (studied / "out" / "report.html").read_bytes() == before
    assert b"thinout study own_case:make_case --p 0.5 --seeds 2" in before


def test_a_report_counts_the_runs_of_its_study_alone(studied, capsys):
    assert run(["report", "out", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    rows = studied / "out" / "rows"
    shutil.copytree(rows / "p=0.5", rows / "p=0.4")
    for name in ("json", "npz"):
        shutil.copy(rows / "none" / f"seed-0.{name}", rows / "none" / f"seed-7.{name}")
    assert run(["report", "out", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == first


def test_a_damaged_study_file_is_named(studied, capsys):
    path = studied / "out" / "study.json"
    for content in ("{", "{}", "[]", json.dumps(json.loads(path.read_text()) | {"arms": 3})):
        path.write_text(content)
        assert run(["report", "out"]) == 1
        assert "out/study.json" in capsys.readouterr().err


def test_a_model_may_import_its_neighbours_when_it_is_called(workplace, capsys):
    (workplace / "neighbour.py").write_text("")
    command = ["study", "own_case:needs_neighbour", "--seeds", "1", "--jobs", "1", "--folder", "out"]
    try:
        assert run(command) == 0, capsys.readouterr().err
    finally:
        sys.modules.pop("neighbour", None)


@pytest.mark.parametrize(
    "command", [[*STUDY, "--folder", "out"], ["train", "own_case:make_case"], [*STUDY, "--dry-run"]]
)
def test_what_a_users_code_prints_is_not_in_the_json(workplace, capsys, command):
    assert run([word.replace("make_case", "shouting") for word in command] + ["--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)
    assert "a user's print" in captured.err


def test_notes_stand_beside_the_headline(studied, capsys):
    (studied / "out").rename(studied / "[out]")
    assert run(["report", "[out]"]) == 0
    out = capsys.readouterr().out
    assert out.index("Too few seeds") < out.index("did not converge") < out.index("Report: [out]/report.html")


def test_arms_of_the_case_stay_beside_a_named_one(workplace, capsys):
    command = ["study", "own_case:needs_neighbour", "--arm", "weight-decay", "--dry-run", "--json"]
    (workplace / "neighbour.py").write_text("")
    assert run(command) == 0
    content = json.loads(capsys.readouterr().out)
    assert [arm["name"] for arm in content["study"]["arms"]] == ["none", "p=0.2", "weight-decay"]
    assert (content["num_runs"], content["left"]) == (15, 15)
    assert content["seconds"] > 0
    sys.modules.pop("neighbour", None)


def test_a_study_without_any_baseline_gives_the_reasons_and_no_report(workplace, capsys):
    command = ["study", "own_case:always_nan", "--p", "0.5", "--seeds", "1", "--jobs", "1", "--folder", "out"]
    assert run(command) == 1
    shown = capsys.readouterr().err
    assert re.search(
        r"^none, seed 0 failed: fit: `loss` must be finite, got nan in epoch 1, step 1", shown, re.MULTILINE
    )
    assert "no run of the baseline none has finished" in shown
    assert "no report is written" in shown
    assert "Traceback" not in shown
    assert not (workplace / "out" / "report.html").exists()


def test_a_study_without_a_number_to_compare_says_so_and_not_that_nothing_finished(tmp_path, capsys):
    """A folder of old, from when a metric that the task lacks was not refused: the rows have no balanced error."""
    study = dataclasses.replace(make_study(1), metric="balanced_error")
    with ThreadPoolExecutor(1) as executor:
        run_study(study, tmp_path, executor=executor, train=made_row)
    assert run(["report", str(tmp_path)]) == 1
    shown = capsys.readouterr().err
    assert "no run of the baseline none has a finite balanced_error, so there is nothing to compare with" in shown
    assert "Give another --metric, and another --folder." in shown


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("class_weights=false", "class_weights", False),
        ("class_weights=True", "class_weights", True),
        ("patience=none", "patience", None),
        ("patience=3", "patience", 3),
        ("clip_norm=none", "clip_norm", None),
        ("clip_norm=2", "clip_norm", 2.0),
        ("keep=last", "keep", "last"),
    ],
)
def test_a_setting_has_the_type_of_its_field(workplace, capsys, setting, field, value):
    assert run(["study", "own_case:make_case", "--set", setting, "--dry-run", "--json"]) == 0
    got = json.loads(capsys.readouterr().out)["study"]["recipe"][field]
    assert (got, type(got)) == (value, type(value))


def test_class_weights_that_are_switched_off_train_as_without_them(workplace):
    for name, settings in (("without", []), ("off", ["class_weights=false"]), ("on", ["class_weights=true"])):
        options = [word for setting in settings for word in ("--set", setting)]
        assert run(["train", "own_case:make_case", "--folder", name, *options]) == 0
    without, off, on = (torch.load(workplace / name / "weights.pt") for name in ("without", "off", "on"))
    assert all(torch.equal(without[name], off[name]) for name in without)
    assert not all(torch.equal(without[name], on[name]) for name in without)


def test_a_dry_run_trains_nothing(workplace, capsys):
    assert run(["study", "own_case:make_case", "--seeds", "3", "--folder", "out", "--dry-run"]) == 0
    assert "12 runs to go" in capsys.readouterr().err
    assert not (workplace / "out" / "rows").exists()


def test_a_run_that_turns_nan_fails_and_the_others_go_on(workplace, capsys):
    command = ["study", "own_case:nan_case", "--p", "0.2,0.5", "--seeds", "1", "--jobs", "1", "--folder", "out"]
    assert run(command) == 1
    captured = capsys.readouterr()
    assert "p=0.5, seed 0 failed: fit: `loss` must be finite, got nan in epoch 1, step 1." in captured.err
    assert (workplace / "out" / "report.html").exists()
    assert len(list((workplace / "out" / "rows").glob("*/seed-0.json"))) == 3


TRAIN = ["train", "own_case:make_case", "--p", "0.2", "--json"]


def test_training_leaves_weights_and_the_same_command_reports_again(workplace, capsys):
    assert run([*TRAIN, "--folder", "out"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["status"] == "done"
    assert 0 <= first["metrics"]["test"]["error"] <= 1
    assert len((workplace / "out" / "epochs.csv").read_text().splitlines()) == 4
    weights = torch.load(workplace / "out" / "weights.pt")
    checkpoint = (workplace / "out" / "checkpoint.pt").stat().st_mtime_ns
    assert run([*TRAIN, "--folder", "out"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert (workplace / "out" / "checkpoint.pt").stat().st_mtime_ns == checkpoint  # nothing was trained again
    again = torch.load(workplace / "out" / "weights.pt")
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_an_error_comes_with_its_exact_interval_over_the_examples(workplace, capsys):
    assert run([*TRAIN[:-1], "--folder", "out"]) == 0
    printed = capsys.readouterr().out
    row = next((workplace / "out").glob("rows/*/seed-0.json"))
    with np.load(row.with_suffix(".npz")) as arrays:
        wrong = arrays["test_prediction"] != arrays["test_label"]
    low, high = stats.binomtest(int(wrong.sum()), len(wrong)).proportion_ci(method="exact")
    metrics = json.loads(row.read_text())["metrics"]["test"]
    assert (metrics["error_low"], metrics["error_high"]) == pytest.approx((low, high), abs=1e-9)
    assert f"{100 * wrong.mean():.2f} [{100 * low:.2f}, {100 * high:.2f}]" in printed


def test_an_interrupted_training_goes_on_where_it_stopped(workplace, capsys, monkeypatch):
    """Ctrl-C in the second epoch; the result is that of an uninterrupted training."""
    assert run([*TRAIN, "--folder", "whole"]) == 0
    whole = json.loads(capsys.readouterr().out)
    train_epoch, trained = Trainer.train_epoch, []

    def interrupted(self, epoch, progress):
        trained.append(epoch)
        if trained == [1, 2]:
            raise KeyboardInterrupt
        return train_epoch(self, epoch, progress)

    monkeypatch.setattr(Trainer, "train_epoch", interrupted)
    assert run([*TRAIN, "--folder", "out"]) == 1
    assert capsys.readouterr().err.endswith("thinout: Stopped.\n")
    assert run([*TRAIN, "--folder", "out"]) == 0
    assert trained == [1, 2, 2, 3]
    assert json.loads(capsys.readouterr().out) == whole
    numbers = [
        [line.split(",")[:5] for line in Path(name, "epochs.csv").read_text().splitlines()] for name in ("whole", "out")
    ]
    assert numbers[0] == numbers[1]


def test_another_p_is_another_training(workplace, capsys):
    assert run(TRAIN) == 0
    assert run([*TRAIN[:3], "0.2001"]) == 0
    assert run([*TRAIN, "--seed", "1"]) == 0
    names = {path.name for path in (workplace / "runs").iterdir()}
    assert names == {f"train-mine-own-data-p{text}" for text in ("0.2-seed0", "0.2001-seed0", "0.2-seed1")}
    capsys.readouterr()
    assert run([*TRAIN[:3], "0.3", "--folder", "runs/train-mine-own-data-p0.2-seed0"]) == 2
    assert "--folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (["--p", "0.3"], "arm.p is 0.2 there, not 0.3"),
        (["--seed", "1"], "seed is 0 there, not 1"),
        (["--set", "lr=0.01"], "recipe.lr is 0.001 there, not 0.01"),
    ],
)
def test_a_folder_with_the_row_of_another_training_is_refused(workplace, capsys, change, difference):
    """Also where no checkpoint tells: it was deleted, to save space."""
    assert run([*TRAIN, "--folder", "out"]) == 0
    (workplace / "out" / "checkpoint.pt").unlink()
    before = {path: path.read_bytes() for path in (workplace / "out").rglob("*") if path.suffix in (".pt", ".json")}
    assert run([*TRAIN, *change, "--folder", "out"]) == 2
    shown = capsys.readouterr().err
    assert "train: out holds another training: " in shown
    assert difference in shown
    assert "Give another --folder." in shown
    assert {path: path.read_bytes() for path in before} == before


def test_after_a_failed_training_another_recipe_may_take_its_folder(workplace):
    assert run([*TRAIN, "--set", "lr=1e38", "--folder", "out"]) == 1
    (workplace / "out" / "checkpoint.pt").unlink(missing_ok=True)  # the first epoch may have ended
    assert run([*TRAIN, "--folder", "out"]) == 0


@pytest.mark.parametrize("change", [[], ["--p", "0.5"]])
def test_a_second_training_is_told_who_holds_the_folder(workplace, capsys, monkeypatch, change):
    train_epoch, statuses = Trainer.train_epoch, []

    def starts_another(self, epoch, progress):
        if not statuses:
            statuses.append(run([*TRAIN, *change, "--folder", "out"]))
        return train_epoch(self, epoch, progress)

    monkeypatch.setattr(Trainer, "train_epoch", starts_another)
    assert run([*TRAIN, "--folder", "out"]) == 0
    assert statuses == [1]
    assert f"train: out is held by process {os.getpid()} on " in capsys.readouterr().err
    assert [path.parent.name for path in (workplace / "out").glob("rows/*/*.json")] == ["p=0.2"]


def test_a_result_that_is_no_number_is_null(workplace, capsys):
    assert run(["train", "own_case:always_nan", "--folder", "out", "--json"]) == 1
    content = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (content["status"], content["metrics"]) == ("failed", {})
    print_json({"nll": float("nan"), "ece": [float("inf")]})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {"nll": None, "ece": [None]}


def test_training_in_the_folder_of_a_study_is_refused(studied, capsys):
    assert run([*TRAIN, "--folder", "out"]) == 2
    assert "`--folder` must be a folder that holds no study" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["own_case.py", "own_case.py/below"])
@pytest.mark.parametrize("command", [TRAIN, STUDY, [*STUDY, "--dry-run"]])
def test_a_file_in_place_of_the_folder_is_refused_before_anything_begins(workplace, capsys, folder, command):
    assert run([*command, "--folder", folder]) == 2
    assert f"{command[0]}: `--folder` must be a folder, got own_case.py" in capsys.readouterr().err


def test_two_processes_train_through_the_command(workplace):
    """As docs/study.md says it; ACCELERATE_USE_CPU makes the processes talk through gloo. Deadline 120 s."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    launch += ["--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]
    command = [*launch, "-m", "thinout", *TRAIN, "--folder", "out"]
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=workplace)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["status"] == "done"  # one process prints
    row = read_row(row_path(workplace / "out", "p=0.2", 0))
    assert row.provenance["num_processes"] == 2


WRONG = [
    (["study", "lenet6"], 2, ", got 'lenet6'. Did you mean lenet5?"),
    (["study", "lenet5", "--data", "mnits"], 2, ", got 'mnits'. Did you mean mnist?"),
    (["study", "lenet5", "--p", "1e999"], 2, "`--p` must be a number in [0, 1], got 1e999"),
    (["study", "lenet5", "--p", "1/0"], 2, "`--p` must be a number in [0, 1], as 0.2 or 1/3, got '1/0'"),
    (["study", "lenet5", "--p", "0.5/"], 2, "`--p` must be a number in [0, 1], as 0.2 or 1/3, got '0.5/'"),
    (["study", "lenet5", "--p", "0.2,0.2"], 2, "`arms` must be different arms, got p=0.2 twice"),
    (["study", "lenet5", "--p", "1.5"], 2, "thinout: command line: `--p` must be a number in [0, 1], got 1.5"),
    (["study", "lenet5", "--p", "nan"], 2, "`--p` must be a number in [0, 1], got nan"),
    (["study", "lenet5", "--p", "half"], 2, "`--p` must be a number in [0, 1], as 0.2 or 1/3, got 'half'"),
    (["study", "lenet5", "--arm", "magic"], 2, "`--arm` must be one of none, weight-decay, got 'magic'"),
    (["study", "lenet5", "--seeds", "0"], 2, "greater than or equal to 1. See thinout --help."),
    (["study", "lenet5", "--metric", "speed"], 2, "'speed' is not one of 'nll', 'error', 'ece'"),
    (["study", "lenet5", "--set", "lrr=1"], 2, "thinout: command line: `--set` must be FIELD=VALUE with a field of"),
    (
        ["study", "lenet5", "--set", "epochs=many"],
        2,
        "command line: `--set epochs` must be of type int, got 'many'",
    ),
    (["study", "lenet5", "--set", "lr=-1"], 2, "`lr` must be a positive number, got -1.0"),
    (["study", "lenet5", "--set", "class_weights=0"], 2, "`--set class_weights` must be true or false, got '0'"),
    (["study", "lenet5", "--set", "class_weights=none"], 2, "`--set class_weights` must be true or false, got 'none'"),
    (
        ["study", "lenet5", "--set", "schedule=3"],
        2,
        "`schedule` must be one of constant, cosine, linear, step, got '3'",
    ),
    (["study", "lenet5", "--set", "keep=0"], 2, "`keep` must be one of best, last, got '0'"),
    (["study", "lenet5", "--set", "optimizer=none"], 2, "`optimizer` must be one of adam, sgd, got 'none'"),
    (["study", "lenet5", "--set", "epochs=none"], 2, "`--set epochs` must be of type int, got 'none'"),
    (["study", "lenet5", "--set", "patience=0"], 2, "`patience` must be a whole number of at least 1, got 0"),
    (["study", "lenet5", "--set", "patience=off"], 2, "`--set patience` must be of type int | None, got 'off'"),
    (
        ["study", "lenet5", "--set", "weight_decay=nan"],
        2,
        "`weight_decay` must be a finite number of at least 0, got nan",
    ),
    (
        ["study", "own_case:numbers", "--metric", "ece"],
        2,
        "`metric` must be one of nll, error, which are those of regre",
    ),
    (["study", "lenet5", "--frobnicate"], 2, "No such option: --frobnicate. See thinout --help."),
    (["study"], 2, "Missing argument 'CASE'. See thinout --help."),
    (["dance"], 2, "No such command 'dance'. See thinout --help."),
    (["study", "own_case:missing"], 2, "a function of own_case, got 'own_case:missing'"),
    (["study", "own_case:exiting"], 2, "raised SystemExit: the user's own way out"),
    (["study", "exiting_module:make_case"], 2, "cannot be imported (SystemExit: 5)"),
    (["study", "own_case:wrong"], 2, "a thinout.lab.case.Case, got 5"),
    (["study", "own_case:raising"], 2, "raised KeyError"),
    (["study", "no_such_module:make_case"], 2, "cannot be imported"),
    (["train", "own_case:make_case", "--p", "-0.1"], 2, "`--p` must be a number in [0, 1]"),
    (["train", "own_case:make_case", "--tracker", "wandb"], 2, "must be csv or tensorboard, got 'wandb'"),
    (["data", "fetch", "cifar"], 2, "got 'cifar'"),
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


def test_an_unreachable_dask_scheduler_is_named(workplace, capsys, monkeypatch):
    monkeypatch.setattr("thinout.cli._study.dask_workers", functools.partial(dask_workers, timeout=1.0))
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


@pytest.mark.parametrize(
    ("package", "command"),
    [
        ("scipy", "report"),
        ("matplotlib", "report"),
        ("jinja2", "report"),
        ("pooch", "fetch"),
        ("distributed", "dask"),
    ],
)
def test_a_missing_package_of_the_laboratory_is_named_with_what_to_install(
    studied, monkeypatch, capsys, package, command
):
    commands = {
        "report": ["report", "out"],
        "fetch": ["data", "fetch", "mnist"],
        "dask": [*STUDY, "--folder", "other", "--dask", "tcp://127.0.0.1:9"],
    }
    monkeypatch.setenv("THINOUT_DATA", str(studied))
    monkeypatch.setenv("XDG_CACHE_HOME", str(studied))
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    assert run(commands[command]) == 1
    shown = capsys.readouterr().err.splitlines()[-1]
    assert shown == f"thinout: this command needs {package}. Install it with: pip install 'thinout[lab]'"


@pytest.mark.parametrize(("module", "package"), [("study", "numpy"), ("data", "numpy"), ("training", "accelerate")])
def test_a_part_of_the_laboratory_says_what_to_install(module, package):
    code = f"import sys; sys.modules[{package!r}] = None; import thinout.lab.{module}"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    last = shown.stderr.splitlines()[-1]
    assert last == f"ModuleNotFoundError: thinout.lab needs {package}. Install it with: pip install 'thinout[lab]'"


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(workplace):
    """The signal comes after the first row is there, with a deadline of 120 s."""
    # A job in the background, such as a CI's, starts with the signal ignored.
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{listening}; import sys; from thinout.cli import run; sys.exit(run())"
    command = [sys.executable, "-c", program, "study", "own_case:make_case", "--seeds", "60", "--jobs", "1"]
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
