"""A study makes each run once, keeps what is finished, and says what is wrong in one sentence."""

from __future__ import annotations

import dataclasses
import errno
import json
import math
import os
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from _study_runs import (
    ARMS,
    made_row,
    make_case,
    make_study,
    raises_what_does_not_pickle,
    threads_row,
    without_times,
)
from torch import nn
from torch.utils.data import TensorDataset

from thinout._checks import UsageError
from thinout.lab import rows as rows_module
from thinout.lab.case import Arm, Recipe, dropout_arm
from thinout.lab.rows import RowError, read_rows, row_path, write_row
from thinout.lab.study import (
    LocalWorkers,
    StudyError,
    StudyStoppedError,
    estimate,
    held_for_training,
    plan,
    read_about,
    read_study,
    remaining,
    run_study,
    study_rows,
)
from thinout.lab.study import _folder as folder_module
from thinout.lab.training import RunSeeds, fit, train_run

BY_SEED = [("none", 0), ("p=0.5", 0), ("none", 1), ("p=0.5", 1)]


def run_here(study, folder, train=made_row, progress=None):
    """Run a study in threads of this process, one run at a time."""
    with ThreadPoolExecutor(1) as executor:
        return run_study(study, folder, executor=executor, train=train, progress=progress)


def keys(rows):
    return [(row.arm, row.seed) for row in rows]


def contents(folder):
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.glob("rows/*/*")}


def must_not_run(run):
    raise AssertionError(f"{run.arm.name} seed {run.seed} was made again")


def fails_with_nan(run):
    if (run.arm.name, run.seed) == ("p=0.5", 0):
        return made_row(run, "failed", "loss is NaN in epoch 1")
    return made_row(run)


def test_every_run_is_made_once_seeds_outermost(tmp_path):
    seen = []
    outcome = run_here(make_study(), tmp_path, progress=lambda row, *counts: seen.append(((row.arm, row.seed), counts)))
    assert seen == [(key, (number, 4)) for number, key in enumerate(BY_SEED, start=1)]
    assert keys(outcome.rows) == BY_SEED
    assert (outcome.num_kept, outcome.failed) == (0, ())
    assert sorted(keys(read_rows(tmp_path))) == sorted(BY_SEED)


def test_finished_runs_are_kept_as_they_are(tmp_path):
    first = run_here(make_study(), tmp_path)
    before = contents(tmp_path)
    again = run_here(make_study(), tmp_path, train=must_not_run)
    assert contents(tmp_path) == before
    assert again.num_kept == 4
    assert [without_times(row) for row in again.rows] == [without_times(row) for row in first.rows]


def test_only_what_is_missing_is_made(tmp_path):
    run_here(make_study(), tmp_path)
    row_path(tmp_path, "none", 1).unlink()  # as after a kill between arrays and row
    assert [(run.arm.name, run.seed) for run in remaining(make_study(), tmp_path)] == [("none", 1)]
    made = []
    outcome = run_here(make_study(), tmp_path, progress=lambda row, *_: made.append((row.arm, row.seed)))
    assert made == [("none", 1)]
    assert (outcome.num_kept, keys(outcome.rows)) == (3, BY_SEED)


def test_a_failed_run_gives_its_reason_and_is_tried_again(tmp_path):
    outcome = run_here(make_study(), tmp_path, train=fails_with_nan)
    assert [(row.arm, row.seed, row.reason) for row in outcome.failed] == [("p=0.5", 0, "loss is NaN in epoch 1")]
    assert len(outcome.rows) == 4
    again = run_here(make_study(), tmp_path)
    assert (again.num_kept, again.failed, len(again.rows)) == (3, (), 4)


def test_a_run_that_raises_fails_alone(tmp_path):
    def raises(run):
        return made_row(run) if run.seed else 1 // 0

    outcome = run_here(make_study(), tmp_path, train=raises)
    assert [row.reason for row in outcome.failed] == ["ZeroDivisionError: integer division or modulo by zero"] * 2
    assert [row.status for row in outcome.rows] == ["failed", "failed", "done", "done"]


def test_an_error_that_does_not_pickle_keeps_its_text_and_user_prints_stay_off_standard_output(tmp_path, capfd):
    with LocalWorkers(1) as workers:
        outcome = run_study(make_study(), tmp_path, executor=workers, train=raises_what_does_not_pickle)
    assert [row.reason for row in outcome.failed] == ["UnpicklableError: no such column"] * 2
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err.count("a user's print") == 4


def test_what_no_run_can_do_stops_the_study(tmp_path):
    def lacks_data(run):
        raise UsageError("load: no such data.")

    with pytest.raises(UsageError, match="no such data"):
        run_here(make_study(), tmp_path, train=lacks_data)
    assert read_rows(tmp_path) == []


def test_a_run_has_one_thread(tmp_path):
    before = torch.get_num_threads()
    outcome = run_here(make_study(), tmp_path, train=threads_row)
    assert {row.provenance["threads"] for row in outcome.rows} == {1}
    assert torch.get_num_threads() == before


def test_ctrl_c_keeps_what_is_finished_and_the_same_command_goes_on(tmp_path):
    def stop_after_two(row, num_finished, num_runs):
        if num_finished == 2:
            raise KeyboardInterrupt

    with pytest.raises(StudyStoppedError, match=r"stopped\. [234] of 4 runs are finished and kept in .* same command"):
        run_here(make_study(), tmp_path, progress=stop_after_two)
    finished = len(read_rows(tmp_path))
    assert finished in (2, 3, 4)  # what was under way may have ended
    assert run_here(make_study(), tmp_path).num_kept == finished


def test_a_second_command_is_told_who_holds_the_folder(tmp_path):
    messages = []

    def starts_another(run):
        with pytest.raises(StudyError) as caught:
            run_here(make_study(), tmp_path, train=must_not_run)
        messages.append(str(caught.value))
        return made_row(run)

    outcome = run_here(make_study(1), tmp_path, train=starts_another)
    assert len(outcome.rows) == len(messages) == 2
    assert (tmp_path / "study.lock").read_text() == ""
    assert f"is held by process {os.getpid()} on {socket.gethostname()} since 20" in messages[0]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seeds": (0, 1, 2)}, r"seeds is \[0, 1\] there, not \[0, 1, 2\]"),
        ({"recipe": Recipe(epochs=3, batch_size=16, lr=0.01)}, r"recipe.lr is 0.001 there, not 0.01"),
        ({"arms": (*ARMS, dropout_arm(0.2))}, r"arms.p=0.2 is null there, not"),
        ({"arms": (ARMS[0], Arm(name="p=0.5", p=0.6))}, r"arms.p=0.5.p is 0.5 there, not 0.6"),
        ({"arms": ARMS[::-1]}, r'order of arms is \["none", "p=0.5"\] there'),
        ({"case": "lenet5"}, r'case is "_study_runs:make_case" there, not "lenet5"'),
    ],
)
def test_a_folder_of_another_study_is_refused_with_what_differs(tmp_path, change, text):
    run_here(make_study(), tmp_path)
    before = contents(tmp_path)
    with pytest.raises(UsageError, match=rf"holds another study: .*{text}.* Give another folder"):
        run_here(dataclasses.replace(make_study(), **change), tmp_path)
    assert contents(tmp_path) == before


def test_rows_of_another_study_do_not_count(tmp_path):
    run_here(make_study(), tmp_path)
    (tmp_path / "study.json").unlink()
    other = dataclasses.replace(make_study(), recipe=Recipe(epochs=7))
    with pytest.raises(RowError, match="is a row of another study"):
        run_here(other, tmp_path)


def without_a_field(path):
    """Make a file what an older version wrote, whose recipe had no `keep`."""
    content = json.loads(path.read_text())
    del content.get("config", content)["recipe"]["keep"]
    path.write_text(json.dumps(content))


def test_a_study_from_before_a_field_of_the_recipe_goes_on(tmp_path):
    run_here(make_study(), tmp_path)
    for path in (tmp_path / "study.json", *tmp_path.glob("rows/*/*.json")):
        without_a_field(path)
    again = run_here(make_study(), tmp_path, train=must_not_run)
    assert (again.num_kept, keys(study_rows(read_study(tmp_path), tmp_path))) == (4, BY_SEED)
    (tmp_path / "study.json").unlink()
    other = dataclasses.replace(make_study(), recipe=dataclasses.replace(make_study().recipe, keep="last"))
    with pytest.raises(RowError, match="is a row of another study"):
        run_here(other, tmp_path)


def test_a_training_from_before_a_field_of_the_recipe_keeps_its_folder(tmp_path):
    run = make_study().runs()[0]
    without_a_field(write_row(tmp_path, made_row(run)))
    with held_for_training(tmp_path, run):
        pass
    other = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, keep="last"))
    with (
        pytest.raises(UsageError, match=r'another training: recipe\.keep is "best" there, not "last"\.'),
        held_for_training(tmp_path, other),
    ):
        pass


def test_a_row_with_a_field_that_no_recipe_has_is_of_another_study(tmp_path):
    path = write_row(tmp_path, made_row(make_study().runs()[0]))
    content = json.loads(path.read_text())
    content["config"]["recipe"]["momentums"] = 0.9
    path.write_text(json.dumps(content))
    with pytest.raises(RowError, match="is a row of another study"):
        remaining(make_study(), tmp_path)


def test_a_name_of_the_longest_kind_has_a_folder(tmp_path):
    study = plan("_study_runs:make_case", arms=[Arm(name="a" * 100)], seeds=1)
    assert [row.status for row in run_here(study, tmp_path).rows] == ["done"]


def test_damaged_files_are_named(tmp_path):
    run_here(make_study(), tmp_path)
    row_path(tmp_path, "none", 0).write_text("{")
    with pytest.raises(RowError, match=r"seed-0.json cannot be read .* Delete it"):
        run_here(make_study(), tmp_path)
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(StudyError, match=r"study.json cannot be read"):
        run_here(make_study(), tmp_path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"arms": None}, "NoneType"),
        ({"metric": "speed"}, "`metric` must be one of"),
        ({"format": 9}, "format 9 is not 1"),
        ({"recipe": {"epoch": 3}}, "epoch"),
    ],
)
def test_a_study_file_that_is_none_is_named(tmp_path, change, text):
    run_here(make_study(1), tmp_path)
    path = tmp_path / "study.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | change))
    for reader in (lambda: read_study(tmp_path), lambda: remaining(make_study(1), tmp_path)):
        with pytest.raises(StudyError, match=rf"study\.json is not what a study wrote \(.*{text}"):
            reader()
    del content["seeds"]
    path.write_text(json.dumps(content))
    with pytest.raises(StudyError, match=r"study\.json is not .* \('seeds' is missing\)"):
        read_study(tmp_path)


def test_a_folder_tells_its_study_and_what_a_report_says_of_it(tmp_path):
    with ThreadPoolExecutor(1) as executor:
        run_study(make_study(), tmp_path, executor=executor, train=made_row, about={"title": "tiny"})
    run_here(make_study(), tmp_path)
    assert read_study(tmp_path) == make_study()
    assert read_about(tmp_path) == {"title": "tiny"}


def test_rows_that_are_not_of_the_study_do_not_count(tmp_path):
    study = make_study()
    run_here(study, tmp_path)
    stray = study.runs()[0]
    for other in (dataclasses.replace(stray, seed=9), dataclasses.replace(stray, arm=dropout_arm(0.9))):
        write_row(tmp_path, made_row(other))
    assert len(read_rows(tmp_path)) == 6
    assert keys(study_rows(study, tmp_path)) == BY_SEED


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match=r"file cannot be used .* Give another folder"):
        run_here(make_study(), tmp_path / "file")


def test_a_full_disk_loses_no_finished_run(tmp_path, monkeypatch):
    write = rows_module.write_atomically

    def until_full(path, content):
        if path.name == "seed-1.json" and (tmp_path / ".reserve").exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, content)

    monkeypatch.setattr(rows_module, "write_atomically", until_full)
    with pytest.raises(StudyError, match=r"No space left on device\)\. Every finished run is kept\. Free space"):
        run_here(make_study(), tmp_path)
    assert ("none", 1) in keys(read_rows(tmp_path))
    monkeypatch.undo()
    assert run_here(make_study(), tmp_path).num_kept >= 3
    assert not list(tmp_path.rglob(".*"))


def test_a_killed_writer_leaves_nothing_behind(tmp_path):
    names = ("rows/none/.seed-0.json.x1", "..reserve.x2", ".study.json.x3", ".about.json.x4")
    leftovers = [tmp_path / name for name in names]
    leftovers[0].parent.mkdir(parents=True)
    for leftover in leftovers:
        leftover.write_text("half a file")
    (tmp_path / ".gitignore").write_text("*")  # not ours
    run_here(make_study(), tmp_path)
    assert [path.name for path in tmp_path.rglob(".*")] == [".gitignore"]


def test_a_full_disk_before_the_first_run_is_told_in_one_sentence(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder_module, "write_atomically", full)
    with pytest.raises(StudyError, match=r"cannot write to .* \(No space left on device\)\. Nothing was begun"):
        run_here(make_study(), tmp_path, train=must_not_run)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device that is always full")
def test_a_lock_that_cannot_be_signed_is_told_in_one_sentence(tmp_path):
    (tmp_path / "study.lock").symlink_to("/dev/full")
    with pytest.raises(StudyError, match=r"Nothing was begun"):
        run_here(make_study(), tmp_path, train=must_not_run)


def test_arms_of_a_seed_share_start_batches_and_split(tmp_path):
    outcome = run_here(make_study(), tmp_path, train=train_run)
    none_0, half_0, none_1, half_1 = (row.fingerprints for row in outcome.rows)
    assert none_0 == half_0
    assert none_1 == half_1
    assert all(none_0[name] != none_1[name] for name in none_0)
    assert none_0


def test_plan_takes_arms_seeds_and_recipe():
    study = plan("_study_runs:make_case", arms=(ARMS[0], Arm(name="slow", recipe={"lr": 1e-4})), seeds=[7, 3])
    assert [(run.arm.name, run.seed, run.recipe.lr) for run in study.runs()] == [
        ("none", 7, 1e-3),
        ("slow", 7, 1e-4),
        ("none", 3, 1e-3),
        ("slow", 3, 1e-4),
    ]
    assert plan("_study_runs:make_case", recipe={"epochs": 9}).runs()[-1].recipe.epochs == 9
    assert json.loads(json.dumps(study.to_dict())) == study.to_dict()


def case_with(**fields):
    return lambda: dataclasses.replace(make_case(), **fields)


def raising(*_):
    raise RuntimeError("broken on purpose")


def raising_system_exit(*_):
    sys.exit(3)


def tensors(num, *, label=0, width=4):
    return TensorDataset(torch.zeros(num, 1, width, width), torch.full((num,), label))


def splits_with(**parts):
    return lambda seed: dataclasses.replace(make_case().splits(seed), **parts)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"model": raising}, r"`model` must be .* got RuntimeError: broken on purpose"),
        ({"model": lambda p: "no module"}, r"`model` must be .* got 'no module'"),
        ({"data": raising}, r"the data of tiny raised RuntimeError: broken on purpose"),
        ({"data": lambda seed: [1, 2]}, r"`data` must be Splits, .* got \[1, 2\]"),
        ({"arms": ()}, r"`arms` must be at least one arm"),
        ({"model": raising_system_exit}, r"`model` must be .* got SystemExit: 3"),
        ({"data": raising_system_exit}, r"the data of tiny raised SystemExit: 3"),
        ({"data": splits_with(num_classes=1)}, r"`num_classes` must be a whole number of at least 2, got 1"),
        ({"data": splits_with(validation=tensors(0))}, r"`validation` must be .* at least one example, got none"),
        ({"data": splits_with(test=tensors(9, label=2))}, r"`test` must be labelled in \[0, 1\] .* got 2 to 2"),
        ({"data": splits_with(train=tensors(9, label=0.5))}, r"`train` must be labelled with torch.int64 .*float32"),
        (
            {"data": splits_with(test=tensors(9, width=5))},
            r"test part of tiny cannot go .*: RuntimeError: mat1 and mat2",
        ),
        (
            {"model": lambda p: nn.Sequential(nn.Flatten(), nn.Linear(16, 3))},
            r"`model` must be .* \(4, 2\), got \(4, 3\)",
        ),
    ],
)
def test_a_case_that_cannot_work_is_refused_before_anything_is_trained(monkeypatch, fields, text):
    monkeypatch.setattr(sys.modules["_study_runs"], "broken", case_with(**fields), raising=False)
    with pytest.raises(UsageError, match=text):
        plan("_study_runs:broken")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"arms": [ARMS[0], ARMS[0]]}, r"`arms` must be different arms, got none twice"),
        ({"arms": [Arm(name="../up")]}, r"`arms` must be named with letters, .* got '../up'"),
        ({"seeds": [1, 1]}, r"`seeds` must be a number of seeds, or different seeds, got \[1, 1\]"),
        ({"seeds": 0}, r"`seeds` must be a whole number of at least 1, got 0"),
        ({"recipe": {"epoch": 3}}, r"`recipe` must be made of epochs, .* got 'epoch'"),
        ({"recipe": {"lr": math.nan}}, r"`lr` must be a positive number, got nan"),
        ({"arms": [Arm(name="a", recipe={"epochs": "many"})]}, r"`epochs` must be a whole number"),
        ({"metric": "accuracy"}, r"`metric` must be one of nll, error, ece"),
        ({"recipe": {"class_weights": "false"}}, r"`class_weights` must be True or False, got 'false'"),
        ({"recipe": {"class_weights": 0}}, r"`class_weights` must be True or False, got 0"),
        ({"recipe": {"weight_decay": False}}, r"`weight_decay` must be a finite number of at least 0, got False"),
        ({"arms": [Arm(name="a" * 101)]}, r"`arms` must be named with at most 100 characters, got 101 in a{20}\.\.\."),
        ({"data": "mnist"}, r"`data` must be left out"),
        ({"arms": ["none"]}, r"`arms` must be a sequence of Arm, got 'none'"),
        ({"recipe": ["lr"]}, r"`recipe` must be a mapping from fields to values, got \['lr'\]"),
    ],
)
def test_plan_refuses_bad_options(options, text):
    with pytest.raises(ValueError, match=text):
        plan("_study_runs:make_case", **options)


@pytest.mark.parametrize(
    ("task", "recipe", "text"),
    [
        ("tokens", {"class_weights": True}, "`class_weights` must be False, .* tokens knows, got True"),
        ("regression", {"class_weights": True}, "`class_weights` must be False, .* regression knows, got True"),
        ("regression", {"label_smoothing": 0.1}, r"`label_smoothing` must be 0.0, .* regression knows, got 0.1"),
    ],
)
@pytest.mark.parametrize("of_the_arm", [False, True])
def test_a_recipe_that_the_task_has_no_use_of_is_refused(monkeypatch, task, recipe, text, of_the_arm):
    monkeypatch.setattr(sys.modules["_study_runs"], "other", case_with(task=task), raising=False)
    options = {"arms": [Arm(name="a", recipe=recipe)]} if of_the_arm else {"recipe": recipe}
    with pytest.raises(UsageError, match=text):
        plan("_study_runs:other", **options)
    with pytest.raises(UsageError, match=text):
        fit(nn.Linear(4, 2), make_case().splits(0), Recipe(**recipe), seeds=RunSeeds.from_seed(0), task=task)


def test_an_arm_has_a_name():
    with pytest.raises(TypeError, match=r"`name` must be a string, got 3"):
        Arm(name=3)


def test_arms_are_told_apart_by_all_digits_of_p():
    """Three digits name only what no decimal writes out: 1/3 as a float has 16."""
    names = [dropout_arm(p).name for p in (0.2, 0.2001, 0.30000001, 1 / 3, 2 / 3, 1.0, 0.0)]
    assert names == ["p=0.2", "p=0.2001", "p=0.30000001", "p=0.333", "p=0.667", "p=1", "none"]
    with pytest.raises(UsageError, match=r"`arms` must be different arms, got p=0.333 twice"):
        plan("_study_runs:make_case", arms=[ARMS[0], dropout_arm(1 / 3), dropout_arm(0.333)])


def test_estimate_measures_the_arm_with_the_most_dropout(monkeypatch):
    seen = []

    def model(p):
        seen.append(p)
        return make_case().model(p)

    monkeypatch.setattr(sys.modules["_study_runs"], "watched", case_with(model=model), raising=False)
    study = plan("_study_runs:watched", arms=[ARMS[0], dropout_arm(0.2), dropout_arm(0.7)])
    seen.clear()
    estimate(study, jobs=1)
    assert seen == [0.7]


def test_estimate_of_a_network_that_raises_while_it_trains_is_unknown(monkeypatch):
    class Untrainable(nn.Linear):
        def forward(self, input):
            return super().forward(input.flatten(1)) if not self.training else 1 // 0

    monkeypatch.setattr(
        sys.modules["_study_runs"], "broken", case_with(model=lambda p: Untrainable(16, 2)), raising=False
    )
    assert estimate(plan("_study_runs:broken"), jobs=1) is None


def test_estimate_counts_the_rounds_that_are_left():
    study = dataclasses.replace(make_study(4), recipe=Recipe(epochs=50, batch_size=1))
    assert 0 < estimate(study, jobs=8) < estimate(study, jobs=1)
    assert estimate(study, jobs=2, num_runs=0) == 0
