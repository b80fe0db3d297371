"""Make the measurements of a claim that its folder lacks, and judge what is there."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from thinout._checks import UsageError
from thinout.lab.claims._claim import Claim, ClaimError, Finding, Measurement, Size, Unit, collect
from thinout.lab.claims._registry import find
from thinout.lab.data import describe, require
from thinout.lab.rows import finite, write_atomically
from thinout.lab.study import as_they_end
from thinout.lab.training import now, provenance_of

Progress = Callable[[Claim, Measurement], None]


def claim_folder(folder: Path, claim: Claim, size: Size) -> Path:
    """Return where the results of a claim lie; those of a quick form lie apart."""
    return folder / (claim.id if size == "full" else f"{claim.id}-quick")


def measured_by(claim: Claim) -> Claim:
    """Return the claim that makes the measurements which a claim judges: itself, or the one that it shares with."""
    return find(claim.shares) if claim.shares else claim


def read_measurements(folder: Path, claim: Claim, size: Size) -> list[Measurement]:
    """Return the measurements that a folder has of a claim, in the order of its units.

    Raises:
        UsageError: there are measurements of another registration: the claim was changed after they were made.
        ClaimError: a file is damaged.
    """
    source = measured_by(claim)
    place, digest = claim_folder(folder, source, size), source.digest(size)
    found = []
    for unit in source.units(size):
        path = place / f"{unit.name}.json"
        if not path.exists():
            continue
        try:
            content = json.loads(path.read_text())
            measurement = Measurement(**content | {"unit": Unit(**content["unit"])})
            _check_values(measurement.values)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ClaimError(f"claims: {path} cannot be read ({error}). Delete it and run the claim again.") from error
        if measurement.claim != digest:
            raise UsageError(
                f"claims: {place} holds measurements of {claim.id} as it was stated before. What is claimed and how it "
                "is judged is fixed before a run: give another --folder, or delete this one."
            )
        found.append(measurement)
    return found


def _check_values(values: object) -> None:
    """Raise unless values are named numbers, of which NaN is one: judges take what is missing for it."""
    if not isinstance(values, dict) or not values:
        raise ValueError("it has no values")
    wrong = [name for name, value in values.items() if type(value) not in (int, float)]
    if wrong:
        raise ValueError(f"no number in {', '.join(map(repr, wrong))}")


def to_measure(folder: Path, claim: Claim, size: Size) -> list[Unit]:
    """Return the units that a run measures: those that remain, or all where what they read changes by itself."""
    source = measured_by(claim)
    return list(source.units(size)) if source.is_always_measured else remaining(folder, claim, size)


def remaining(folder: Path, claim: Claim, size: Size) -> list[Unit]:
    """Return the units that are still to be measured."""
    done = {measurement.unit for measurement in read_measurements(folder, claim, size)}
    return [unit for unit in measured_by(claim).units(size) if unit not in done]


def run_claim(
    claim: Claim, folder: Path, *, size: Size = "full", executor: Executor, progress: Progress | None = None
) -> list[Measurement]:
    """Measure what is missing of a claim; every measurement is on disk as soon as it is made.

    Args:
        claim: one of the registry.
        folder: where all claims lie.
        size: ``"full"``, or the quick form, which shows that everything runs and proves nothing.
        executor: where units are measured, for example `thinout.lab.study.LocalWorkers`.
        progress: called with each new measurement.

    Raises:
        ClaimError: a unit failed; the others are kept, and the next run goes on from there.
        DataError: a data set that it needs is missing; the message says where it was looked for.
    """
    for name in claim.data_sets:
        require(describe(name))
    source = measured_by(claim)
    digest, left = source.digest(size), to_measure(folder, claim, size)
    problems = []
    for unit, future in _measured(source, left, size, executor):
        error = future.exception()
        if error is not None:
            problems.append(f"{unit.name} ({type(error).__name__}: {error})")
            continue
        measurement = Measurement(unit=unit, claim=digest, **future.result())
        content = json.dumps(asdict(measurement), indent=1, sort_keys=True)
        write_atomically(claim_folder(folder, source, size) / f"{unit.name}.json", content.encode())
        if progress is not None:
            progress(claim, measurement)
    if problems:
        raise ClaimError(f"claims: of {claim.id} could not be measured: {'; '.join(problems)}.")
    return read_measurements(folder, claim, size)


def _measured(
    claim: Claim, units: Sequence[Unit], size: Size, executor: Executor
) -> Iterator[tuple[Unit, Future[dict[str, Any]]]]:
    """Submit units, and yield each when it is measured; what is timed is measured with nothing beside it."""
    groups = [[unit] for unit in units] if claim.is_timed else [list(units)]
    for group in groups:
        futures = {executor.submit(measure_unit, claim.id, unit, size): unit for unit in group}
        for future in as_they_end(futures):
            yield futures[future], future


def measure_unit(name: str, unit: Unit, size: Size) -> dict[str, Any]:
    """Measure one unit on one thread, in a worker; return the fields of its measurement."""
    claim, started, threads = find(name), now(), torch.get_num_threads()
    torch.set_num_threads(1)
    began = time.perf_counter()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(unit.seed)
            values = {key: float(value) for key, value in claim.measure(unit, size).items()}
        provenance = provenance_of(started)  # here, while the threads are those that measured
    finally:
        torch.set_num_threads(threads)
    wrong = [key for key, value in values.items() if math.isinf(value)]
    if wrong:
        raise ClaimError(f"claims: {claim.id} measured an infinite {', '.join(wrong)} at {unit.name}.")
    seconds = time.perf_counter() - began
    return {"values": values, "seconds": seconds, "source": claim.source(), "provenance": provenance}


def judge(claim: Claim, folder: Path, size: Size = "full") -> Finding:
    """Judge a claim by what its folder holds.

    Raises:
        ClaimError: something is still to be measured.
    """
    left = remaining(folder, claim, size)
    if left:
        raise ClaimError(
            f"claims: {len(left)} measurements of {claim.id} are missing in {folder}. "
            f"Run `thinout claims run {claim.id}` first."
        )
    return claim.judge(collect(read_measurements(folder, claim, size)))


def write_result(claim: Claim, folder: Path, size: Size = "full") -> dict[str, Any]:
    """Judge a claim, write ``result.json`` beside its measurements, and return its content."""
    measurements = read_measurements(folder, claim, size)
    finding = judge(claim, folder, size)
    changed = {each.source for each in measurements} != {measured_by(claim).source()}
    content: dict[str, Any] = {
        "registration": claim.registration,
        "digest": measured_by(claim).digest(size),
        "size": size,
        "finding": asdict(finding),
        "num_units": len(measurements),
        "seconds": sum(each.seconds for each in measurements),
        "source_changed": changed,
        "provenance": measurements[-1].provenance,
    }
    path = claim_folder(folder, claim, size) / "result.json"
    write_atomically(path, json.dumps(finite(content), indent=1, sort_keys=True).encode())
    return content
