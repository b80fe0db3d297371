"""A study on a real Dask scheduler with two worker processes, on loopback."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from _study_runs import make_study, without_times

from thinout.lab.study import StudyError, dask_workers, run_study
from thinout.lab.training import train_run

distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")


def connect(address: str, timeout: float) -> None:
    with dask_workers(address, timeout=timeout):
        raise AssertionError("connected to nobody")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        yield cluster


def test_two_workers_give_the_rows_of_this_machine(cluster, tmp_path):
    with dask_workers(cluster.scheduler_address) as workers:
        outcome = run_study(make_study(3), tmp_path / "dask", executor=workers)
        again = run_study(make_study(3), tmp_path / "dask", executor=workers)
    with ThreadPoolExecutor(1) as executor:
        local = run_study(make_study(3), tmp_path / "local", executor=executor, train=train_run)
    assert outcome.failed == ()
    assert again.num_kept == 6
    assert [without_times(row) for row in outcome.rows] == [without_times(row) for row in local.rows]


def test_a_scheduler_that_cannot_be_reached_is_named_soon():
    with socket.socket() as closed:  # bound and not listening: nobody answers there
        closed.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(StudyError, match=rf"scheduler at {address} cannot be reached .* leave --dask out"):
            connect(address, timeout=2.0)
        assert time.monotonic() - began < 10


def test_an_address_that_is_none_is_named():
    with pytest.raises(StudyError, match="scheduler at nonsense://x cannot be reached"):
        connect("nonsense://x", timeout=2.0)


def test_a_scheduler_without_workers_is_named():
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0") as cluster,
        pytest.raises(StudyError, match=r"has no worker after 0\.5 s\. Start some with `dask worker"),
    ):
        connect(cluster.scheduler_address, timeout=0.5)
