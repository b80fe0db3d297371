"""kill -9 of a worker, kill -9 of the whole command, Ctrl-C: nothing finished is lost, nothing is counted twice."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from _study_runs import made_row, make_study, train_or_die, without_times

from thinout.lab.rows import read_rows, row_path
from thinout.lab.study import LocalWorkers, StudyStoppedError, run_study
from thinout.lab.training import train_run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 and process groups are POSIX")
DEADLINE = 60.0

COMMAND = """
import functools, json, signal, sys
from _study_runs import make_study, train_after
from thinout.lab.study import LocalWorkers, StudyStoppedError, run_study

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts with it ignored
    folder, seconds, jobs = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    try:
        with LocalWorkers(jobs) as workers:
            outcome = run_study(make_study(3), folder, executor=workers, train=functools.partial(train_after, seconds))
    except StudyStoppedError as error:
        sys.exit(str(error))
    print(json.dumps([outcome.num_kept, len(outcome.rows)]))
"""


def start(folder: Path, *, seconds: float, jobs: int) -> subprocess.Popen[str]:
    """Start the command in a process group of its own, as a shell would."""
    script = folder.parent / "command.py"
    script.write_text(COMMAND)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    arguments = [sys.executable, str(script), str(folder), str(seconds), str(jobs)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(arguments, env=environment, text=True, start_new_session=True, **pipes)


def wait_for(condition, what: str):
    end = time.monotonic() + DEADLINE
    while not (result := condition()):
        assert time.monotonic() < end, f"no {what} within {DEADLINE:g} s"
        time.sleep(0.02)
    return result


def num_processes(group: int) -> int:
    """How many processes of a group there are, zombies not counted."""
    found = subprocess.run(["ps", "-o", "stat=", "-g", str(group)], capture_output=True, text=True, check=False)
    return sum(not state.startswith("Z") for state in found.stdout.split())


def test_a_killed_worker_costs_its_own_run_alone(tmp_path):
    """One run kills its worker once and is repeated; one kills it always and fails after three times."""
    traces = tmp_path / "traces"
    traces.mkdir()
    with LocalWorkers(2) as workers:
        outcome = run_study(
            make_study(3), tmp_path / "study", executor=workers, train=functools.partial(train_or_die, traces)
        )
    assert [(row.arm, row.seed) for row in outcome.failed] == [("p=0.5", 1)]
    assert "its worker process ended 3 times: killed, out of memory" in outcome.failed[0].reason
    times = {path.name: len(path.read_text()) for path in traces.iterdir()}
    assert times == {"none-0": 2, "p=0.5-0": 1, "none-1": 1, "p=0.5-1": 3, "none-2": 1, "p=0.5-2": 1}


def test_a_killed_command_goes_on_to_the_same_result(tmp_path):
    """Kill -9 in the middle, then again: finished rows untouched, and all rows equal to an uninterrupted study's."""
    folder = tmp_path / "study"
    command = start(folder, seconds=1.0, jobs=1)
    wait_for(lambda: row_path(folder, "none", 1).exists() or command.poll(), "row")
    command.kill()
    command.communicate()
    wait_for(lambda: num_processes(command.pid) == 0, "end of the workers")
    finished = {path: path.read_bytes() for path in folder.glob("rows/*/seed-*.json")}
    assert 3 <= len(finished) < 6

    again = start(folder, seconds=0.0, jobs=1)
    out, err = again.communicate(timeout=DEADLINE)
    assert again.returncode == 0, err
    assert json.loads(out) == [len(finished), 6]
    assert {path: path.read_bytes() for path in finished} == finished
    with ThreadPoolExecutor(1) as executor:
        uninterrupted = run_study(make_study(3), tmp_path / "other", executor=executor, train=train_run)
    key = lambda row: (row.seed, row.p)  # noqa: E731  # one use, one line
    rows = sorted(read_rows(folder), key=key)
    assert [without_times(row) for row in rows] == [without_times(row) for row in uninterrupted.rows]


def test_ctrl_c_stops_at_once_and_says_how_to_go_on(tmp_path):
    """SIGINT to the whole group, as a terminal sends it, while the worker is in a run of ten minutes."""
    folder = tmp_path / "study"
    command = start(folder, seconds=600.0, jobs=1)
    wait_for(lambda: num_processes(command.pid) >= 3 or command.poll(), "worker beside command and resource tracker")
    os.killpg(command.pid, signal.SIGINT)
    began = time.monotonic()
    _, err = command.communicate(timeout=DEADLINE)
    assert time.monotonic() - began < 20
    assert command.returncode == 1
    assert "run_study: stopped. 0 of 6 runs are finished and kept in" in err
    wait_for(lambda: num_processes(command.pid) == 0, "end of the workers")


def test_ctrl_c_is_heard_that_comes_just_before_the_wait(tmp_path):
    """A signal between the last instruction and the wait does not end it, as one that another thread takes does not."""
    handler, ended = signal.signal(signal.SIGINT, signal.default_int_handler), threading.Event()

    def train(run):
        if (run.arm.p, run.seed) == (0.0, 0):
            ended.wait(1)  # by now the coordinator waits
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
            ended.wait(30)
        return made_row(run)

    began = time.monotonic()
    try:
        with ThreadPoolExecutor(1) as executor:
            with pytest.raises(StudyStoppedError):
                run_study(make_study(3), tmp_path / "study", executor=executor, train=train)
            ended.set()
    finally:
        signal.signal(signal.SIGINT, handler)
    assert time.monotonic() - began < 15
