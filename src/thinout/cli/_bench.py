"""`thinout bench`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.progress import Progress, TaskID

from thinout.cli._options import AsJson
from thinout.cli._output import note, out, print_json, print_table, progress_bar
from thinout.lab.bench import short_bench, summary_sentence

CALLS, STEP = ("F.dropout", "thinout", "copy"), ("off", "on")
PATIENCE = 2  # seconds that somebody waits without wondering


def bench(as_json: AsJson = False) -> None:
    """Measure what thinout brings on this machine, in less than a minute."""
    with progress_bar() as bar:
        task = bar.add_task("rounds", visible=False)
        result = short_bench(progress=_show_when_slow(bar, task))
    if as_json:
        print_json(result)
    else:
        print_result(result)


def _show_when_slow(bar: Progress, task: TaskID) -> Callable[[int, int], None]:
    start = time.monotonic()

    def progress(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total, visible=time.monotonic() - start > PATIENCE)

    return progress


def print_result(result: dict[str, Any]) -> None:
    """Print a table, with 95 % intervals beside the ratios, and a sentence."""
    frame = result["provenance"]
    isa = f" ({frame['isa']})" if frame["isa"] and result["backend"] == "cpu" else ""
    threads = f"{frame['threads']} thread" + "s" * (frame["threads"] != 1)
    title = f"{frame['cpu']}, {threads}, torch {frame['torch']}, backend {result['backend']}{isa}; microseconds"
    columns = ("dropout ", "elements", "PyTorch", "thinout", "copy", "times as fast")
    rows = [_cells(call["pass"].replace("forward +", "with"), call, CALLS) for call in result["calls"]]
    rows.append(_cells("MLP step, patched", result["step"], STEP))
    print_table(title, columns, rows)
    out.print(f"\n{summary_sentence(result)}", markup=False, soft_wrap=True)
    load, cores = frame["load_average_start"], frame["cores"]
    if load is not None and load > cores / 2:
        note(f"The machine is busy with something else (load {load:.1f} on {cores} cores): repeat this when it is not.")


def _cells(what: str, row: dict[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    times = [f"{row['microseconds'][name]:,.1f}" for name in names] + [""] * (len(CALLS) - len(names))
    speedup = row["speedup"]
    interval = "" if speedup["low"] is None else f" [{speedup['low']:.3g}, {speedup['high']:.3g}]"
    return (what, f"{row['size']:,}" if "size" in row else "", *times, f"{speedup['median']:.3g}{interval}")
