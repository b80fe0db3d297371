"""Where runs are made: processes of this machine, or a Dask cluster. Both are `concurrent.futures.Executor`s."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, TypeVar

from thinout._checks import check_count
from thinout.lab.study._folder import StudyError

MAX_REPEATS = 2
T = TypeVar("T")


class WorkerKilledError(RuntimeError):
    """A call whose worker process ended each time that it was tried."""


def num_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalWorkers(Executor):
    """Worker processes of this machine, each a pool of its own.

    So a killed worker costs its own run alone, and is known to have been that run's: the run is repeated in a new
    process, twice at most. The processes live no longer than this one, however it ends, and are ended at once when the
    ``with`` block is left by an exception.

    Args:
        jobs: number of processes; None for one a core.

    Example:
        >>> with LocalWorkers(2) as workers:
        ...     workers.jobs
        2
    """

    def __init__(self, jobs: int | None = None) -> None:
        self.jobs = num_cores() if jobs is None else check_count("LocalWorkers", "jobs", jobs)
        self._threads = ThreadPoolExecutor(self.jobs)
        self._own = threading.local()
        self._pools: list[ProcessPoolExecutor] = []
        self._context = get_context("spawn")
        self._heartbeat, self._lifeline = self._context.Pipe(duplex=False)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function in a worker process; calls start in the order of submission."""
        return self._threads.submit(self._call, fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the workers: after the calls submitted, or at once with `cancel_futures`."""
        if cancel_futures:
            self._lifeline.close()
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for pool in self._pools:
            pool.shutdown(wait)
        if wait:
            self._lifeline.close()
            self._heartbeat.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown(cancel_futures=kind is not None)

    def _call(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        for _ in range(1 + MAX_REPEATS):
            pool = self._pool()
            try:
                return pool.submit(fn, *args, **kwargs).result()
            except BrokenProcessPool:
                del self._own.pool
                if self._lifeline.closed:
                    raise CancelledError from None
        raise WorkerKilledError(
            f"its worker process ended {1 + MAX_REPEATS} times: killed, out of memory, or started from a script "
            'without `if __name__ == "__main__":`'
        )

    def _pool(self) -> ProcessPoolExecutor:
        if not hasattr(self._own, "pool"):
            self._own.pool = ProcessPoolExecutor(
                1, mp_context=self._context, initializer=_enter_worker, initargs=(self._heartbeat,)
            )
            self._pools.append(self._own.pool)
        pool: ProcessPoolExecutor = self._own.pool
        return pool


def _enter_worker(heartbeat: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the coordinator answers it
    os.dup2(2, 1)  # standard output is for the result, not for what a user's model prints
    os.environ["OMP_NUM_THREADS"] = "1"  # for what the worker itself starts
    threading.Thread(target=_die_with_coordinator, args=(heartbeat,), daemon=True).start()


def _die_with_coordinator(heartbeat: Connection) -> None:
    """End this process when the other end of the pipe is closed, by intent or by the death of its owner."""
    heartbeat.poll(None)
    os._exit(1)  # sys.exit would end this thread alone


def as_they_end(futures: Collection[Future[T]]) -> Iterator[Future[T]]:
    """Yield futures as they end, those that have ended meanwhile in the order given, and hear Ctrl-C within a second.

    A signal that comes after the last instruction before a wait, or that another thread takes, does not end the wait,
    and `concurrent.futures.as_completed` waits for a future's end, which may be hours away.
    """
    pending = list(futures)
    while pending:
        done = wait(pending, timeout=1.0, return_when=FIRST_COMPLETED).done
        yield from (future for future in pending if future in done)
        pending = [future for future in pending if future not in done]


@contextmanager
def dask_workers(address: str, timeout: float = 10.0) -> Iterator[Executor]:
    """Connect to a Dask scheduler and give its workers as an executor.

    Start the workers with ``--nthreads 1``: a worker makes one run at a time, whatever its threads. They need the same
    thinout, the data, and the module of an own case, but no shared disk.

    Args:
        address: of the scheduler, for example ``"tcp://10.0.0.1:8786"``.
        timeout: seconds to wait for the scheduler, and for its first worker.

    Raises:
        StudyError: the scheduler cannot be reached, or has no worker.
    """
    import distributed

    connect: Callable[..., Any] = distributed.Client
    try:
        client = connect(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError) as error:
        raise StudyError(
            f"dask_workers: the scheduler at {address} cannot be reached within {timeout:g} s ({error}). "
            "Start one with `dask scheduler`, or leave --dask out to use this machine."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError as error:
            raise StudyError(
                f"dask_workers: the scheduler at {address} has no worker after {timeout:g} s. "
                f"Start some with `dask worker {address} --nthreads 1`."
            ) from error
        yield client.get_executor(pure=False)
