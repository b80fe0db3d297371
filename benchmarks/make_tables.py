"""Write docs/results/benchmarks.md and its figures from the benchmarks' result files; no number in it is typed in.

python benchmarks/make_tables.py
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import pyplot

RESULTS = Path(__file__).parent.parent / "docs" / "results"
KI, MI = 1 << 10, 1 << 20
COLOURS = ("#0f766e", "#5eb8ae", "#b45309", "#e8a765")
SERIES = [(dtype, threads) for dtype in ("float32", "bfloat16") for threads in (1, 2)]
STYLE = {"svg.hashsalt": "thinout", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
HEAD = """# Benchmarks

What thinout costs beside PyTorch and beside a copy of memory. Contenders take turns in one process; a ratio is taken
within each round, and its median is shown with the 95 % interval that order statistics give. Nothing is timed before
its values were compared with the reference. `thinout bench` measures the short form of this on your own machine.

This page is written by `python benchmarks/make_tables.py` from the files in `docs/results/bench`.
"""
Json = dict[str, Any]


@dataclass(frozen=True)
class Goal:
    """A line of the table of goals; `reached` None where it was not measured."""

    what: str
    goal: str
    measured: str = "not measured"
    reached: bool | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the cells of its line."""
        return self.what, self.goal, self.measured, {True: "yes", False: "no", None: ""}[self.reached]


def elements(size: int) -> str:
    return f"{size // MI} Mi" if size >= MI else f"{size // KI} Ki" if size >= KI else str(size)


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + "s" * (count != 1)


def shown(ratio: Json) -> str:
    interval = "" if ratio["low"] is None else f" [{number(ratio['low'])}, {number(ratio['high'])}]"
    return f"{number(ratio['median'])}{interval}"


def find_ratio(rows: Iterable[Json], over: str, under: str, **where: Any) -> Json | None:
    """Return a ratio of the row whose fields are as `where`; None where there is none."""
    for row in rows:
        if all(row[name] == value for name, value in where.items()):
            return next((ratio for ratio in row["ratios"] if (ratio["over"], ratio["under"]) == (over, under)), None)
    return None


def at_least(what: str, bound: float, ratio: Json | None, unit: str = "times as fast") -> Goal:
    goal = Goal(what, f"at least {bound:g} {unit}")
    return goal if ratio is None else Goal(what, goal.goal, shown(ratio), ratio["median"] >= bound)


def at_most(what: str, bound: float, ratio: Json | None) -> Goal:
    goal = Goal(what, f"at most {bound:g} times its time")
    return goal if ratio is None else Goal(what, goal.goal, shown(ratio), ratio["median"] <= bound)


def call_goals(rows: Sequence[Json]) -> Iterator[Goal]:
    """Yield the goals of single calls, which are those of one thread."""

    def ratio(mode: str, size: int, pair: Sequence[str], dtype: str = "float32") -> Json | None:
        return find_ratio(rows, *pair, mode=mode, size=size, dtype=dtype, threads=1)

    faster, beside_copy = ("PyTorch", "thinout"), ("kernel", "copy_")
    for size, bound in ((64 * KI, 25), (MI, 25), (16 * MI, 6)):
        yield at_least(f"dropout, forward, float32, {elements(size)}", bound, ratio("forward", size, faster))
    what = "dropout, forward + backward, float32, 1 Mi"
    yield at_least(what, 10, ratio("forward + backward", MI, faster))
    for dtype, size, bound in (("float32", 64 * KI, 2.3), ("float32", 16 * MI, 1.15), *_bfloat16_bounds()):
        what = f"kernel beside copy_, {dtype}, {elements(size)}"
        yield at_most(what, bound, ratio("forward", size, beside_copy, dtype))
    for mode in ("layer, forward with autograd", "layer, forward + backward"):
        yield at_least(f"{mode}, 64 elements", 1, ratio(mode, 64, faster))


def layout_goal(rows: Sequence[Json]) -> Goal:
    """Return the goal of channels-last and transposed memory, at its worst."""
    what, goal = "kernel on channels-last and transposed memory", "at most 2 times its time on contiguous"
    named = [row for row in rows if row["layout"].startswith(("channels last", "transposed"))]
    if not named:
        return Goal(what, goal)
    row = max(named, key=lambda row: row["ratios"][0]["median"])
    ratio = row["ratios"][0]
    return Goal(what, goal, f"{shown(ratio)} ({row['layout']})", ratio["median"] <= 2)


def _bfloat16_bounds() -> tuple[tuple[str, int, float], ...]:
    return ("bfloat16", MI, 2.3), ("bfloat16", 16 * MI, 2.3)


def step_goals(steps: Sequence[Json]) -> Iterator[Goal]:
    """Yield the goals of training steps with the patch."""
    for model, bound in (("transformer-explicit", 1.3), ("transformer-sdpa", 1.25), ("mlp", 1.2)):
        yield at_least(f"patch_torch, step of {model}", bound, find_ratio(steps, "off", "on", model=model))
    what, goal = "patch_torch, the slowest of the steps", "median at least 0.95, interval reaches 0.98"
    ratios = [(row["ratios"][0], row["model"]) for row in steps]
    known = [item for item in ratios if item[0]["high"] is not None]
    if not known or len(known) < len(ratios):
        yield Goal(what, goal)
        return
    slowest, model = min(known, key=lambda item: item[0]["median"])
    holds = all(ratio["median"] >= 0.95 and ratio["high"] >= 0.98 for ratio, _ in known)
    yield Goal(what, goal, f"{shown(slowest)} ({model})", holds)


def single_call_goals(calls: Sequence[Json]) -> Iterator[Goal]:
    """Yield the goals of single calls with the patch, each at its worst."""
    what, goal = "patch_torch, one call, 4,096 elements and more", "never slower: the interval reaches 1"
    large = [row for row in calls if row["size"] >= 4096 and row["ratios"][0]["high"] is not None]
    if large:
        row = min(large, key=lambda row: row["ratios"][0]["high"])
        ratio = row["ratios"][0]
        yield Goal(what, goal, f"{shown(ratio)} ({row['size']:,}, {row['pass']})", ratio["high"] >= 1)
    else:
        yield Goal(what, goal)
    what, goal = "patch_torch, one call, fewer elements", "at most 10 us more"
    small = [row for row in calls if row["size"] < 4096]
    if small:
        row = max(small, key=lambda row: row["more_us"]["median"])
        more = row["more_us"]
        yield Goal(what, goal, f"{shown(more)} us ({row['size']:,}, {row['pass']})", more["median"] <= 10)
    else:
        yield Goal(what, goal)


def memory_goal(calls: Sequence[Json]) -> Goal:
    what, goal = "kept for backward by a call", "at most 16 bytes"
    kept = [row["kept_bytes"] for row in calls if row["layers"] == "thinout"]
    return Goal(what, goal, f"{max(kept)} bytes", max(kept) <= 16) if kept else Goal(what, goal)


def goals(results: dict[str, Json]) -> Iterator[Goal]:
    """Yield all goals."""
    patch, memory = results.get("patch", {}), results.get("memory", {})
    yield from call_goals(results.get("ops", {}).get("rows", []))
    yield layout_goal(results.get("kernel", {}).get("rows", []))
    yield from step_goals(patch.get("steps", []))
    yield from single_call_goals(patch.get("calls", []))
    yield memory_goal(memory.get("calls", []))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield "| " + " | ".join(columns) + " |"
    yield "|" + "---|" * len(columns)
    for row in rows:
        yield "| " + " | ".join(map(str, row)) + " |"
    yield ""


def origin(result: Json) -> Iterator[str]:
    """Yield where a result comes from."""
    frame = result["provenance"]
    loads = [frame[f"load_average_{when}"] for when in ("start", "end")]
    load = "" if None in loads else f", load {loads[0]:.2g} at the start and {loads[1]:.2g} at the end"
    yield f"```\n{result['command']}\n```\n"
    yield (
        f"{frame['cpu']} ({frame['isa'] or 'no kernel library'}), {frame['cores']} cores{load}; Python "
        f"{frame['python']}, torch {frame['torch']}, thinout {frame['thinout']} at {str(frame['revision'])[:12]}; "
        f"{frame['started']} to {frame['ended']}; {plural(frame['rounds'], 'round')}.\n"
    )


def ops_section(result: Json) -> Iterator[str]:
    """Yield times and ratios of calls, one table a mode."""
    yield "## Calls\n"
    yield from origin(result)
    others = [name for name in ("flax", "compiled") if not result[name]]
    if others:
        labels = {"flax": "Flax (not installed)", "compiled": "compiled PyTorch (asked for with `--compile`)"}
        yield f"Not measured here: {' and '.join(labels[name] for name in others)}.\n"
    yield "Times are medians in microseconds. An arm that allocates its output stands against one that does;"
    yield "`kernel` writes into memory that is there, as `copy_` does.\n"
    for mode in dict.fromkeys(row["mode"] for row in result["rows"]):
        yield f"### {mode[0].upper()}{mode[1:]}\n"
        yield from mode_table([row for row in result["rows"] if row["mode"] == mode])


def mode_table(rows: Sequence[Json]) -> Iterator[str]:
    names = list(dict.fromkeys(name for row in rows for name in row["microseconds"]))
    pairs = list(dict.fromkeys((ratio["over"], ratio["under"]) for row in rows for ratio in row["ratios"]))
    lines = []
    for row in rows:
        times = [number(row["microseconds"][name]) if name in row["microseconds"] else "" for name in names]
        ratios = [find_ratio([row], *pair) for pair in pairs]
        cells = [shown(ratio) if ratio else "" for ratio in ratios]
        lines.append([row["dtype"], elements(row["size"]), row["threads"], *times, *cells])
    yield from table(["dtype", "elements", "threads", *names, *(f"{a} / {b}" for a, b in pairs)], lines)


def kernel_section(result: Json) -> Iterator[str]:
    """Yield times of the kernel on other memory orders."""
    yield "## Memory orders\n"
    yield from origin(result)
    yield f"The kernel alone, microseconds, {plural(result['threads'], 'thread')}.\n"
    names = ("kernel", "contiguous", "copy_")
    rows = [
        (row["layout"], *(number(row["microseconds"][name]) for name in names), *map(shown, row["ratios"]))
        for row in result["rows"]
    ]
    yield from table(["memory order", *names, "kernel / contiguous", "kernel / copy_"], rows)


def patch_section(result: Json) -> Iterator[str]:
    """Yield training steps and single calls with the patch off and on."""
    yield "## patch_torch\n"
    yield from origin(result)
    yield f"Milliseconds of a training step, {plural(result['threads'], 'thread')}.\n"
    steps = [
        (row["model"], *(number(row["microseconds"][arm] / 1e3) for arm in ("off", "on")), shown(row["ratios"][0]))
        for row in result["steps"]
    ]
    yield from table(["model", "off", "on", "times as fast"], steps)
    yield "Microseconds of one call, in a process that was never patched and in one that was.\n"
    calls = [
        (
            f"{row['size']:,}",
            row["pass"],
            *(number(row["microseconds"][arm]) for arm in ("off", "on")),
            *call_cells(row),
        )
        for row in result["calls"]
    ]
    yield from table(["elements", "pass", "off", "on", "times as fast", "more"], calls)


def call_cells(row: Json) -> Iterator[str]:
    yield shown(row["ratios"][0])
    yield shown(row["more_us"])


def memory_section(result: Json) -> Iterator[str]:
    """Yield kept bytes and peak memory."""
    yield "## Memory\n"
    yield from origin(result)
    yield "Bytes that one call keeps for the backward pass.\n"
    sizes = dict.fromkeys(row["size"] for row in result["calls"])
    kept = {(row["size"], row["layers"]): row["kept_bytes"] for row in result["calls"]}
    arms = ("PyTorch", "thinout")
    yield from table(["elements", *arms], [(f"{n:,}", *(f"{kept[n, arm]:,}" for arm in arms)) for n in sizes])
    yield "MiB that a training step keeps for the backward pass, and its peak above the memory before it.\n"
    columns = ["model", "layers", "kept", "peak"]
    yield from table(columns, [(row["model"], row["layers"], *mebibytes(row)) for row in result["models"]])


def mebibytes(row: Json) -> Iterator[str]:
    for name in ("kept_bytes", "peak_bytes"):
        yield "not measured" if row[name] is None else f"{row[name] / MI:.1f}"


def layers_section(result: Json) -> Iterator[str]:
    """Yield every layer beside its plain formulation."""
    yield "## Layers\n"
    yield from origin(result)
    yield f"Microseconds of forward and backward, {plural(result['threads'], 'thread')}. The goal is 5 times as fast"
    yield "where drawing masks is most of the plain formulation's time, else not slower.\n"
    lines = []
    for row in result["rows"]:
        times = [number(row["microseconds"][name]) for name in ("PyTorch", "thinout")]
        sizes = ", ".join("x".join(map(str, shape)) for shape in row["shapes"])
        (ratio,), goal = row["ratios"], 5 if row["heavy"] else 1
        bound = ratio["median"] if ratio["high"] is None or goal == 5 else ratio["high"]
        lines.append([row["layer"], sizes, *times, shown(ratio), goal, "yes" if bound >= goal else "no", row["note"]])
    names = ["layer", "input", "plain PyTorch", "thinout", "times as fast", "goal", "reached", "note"]
    yield from table(names, lines)


def gpu_section(result: Json) -> Iterator[str]:
    """Yield the times on a GPU."""
    yield f"## {result['device']}\n\ntorch {result['torch']}\n"
    rows = [(row["dtype"], row["name"], f"{row['ms']:.3f}", f"{row['copies']:.2f}") for row in result["rows"]]
    yield from table(["dtype", "what", "ms", "times a copy"], rows)


def draw_calls(rows: Sequence[Json], mode: str, path: Path) -> None:
    """Draw how many times as fast as PyTorch a mode is, against the size."""
    sizes = sorted({row["size"] for row in rows if row["mode"] == mode})
    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(7.2, 3.4), layout="constrained")
        for place, (dtype, threads) in enumerate(SERIES):
            where = {"mode": mode, "dtype": dtype, "threads": threads}
            ratios = [(at, find_ratio(rows, "PyTorch", "thinout", size=size, **where)) for at, size in enumerate(sizes)]
            found = [(at + 0.2 * (place - 1.5), ratio["median"]) for at, ratio in ratios if ratio]
            if found:
                draw_bars(axes, found, COLOURS[place], f"{dtype}, {plural(threads, 'thread')}")
        axes.set_yscale("log")
        axes.margins(y=0.08)
        axes.axhline(1, color="#444444", linewidth=0.8)
        axes.set_xticks(range(len(sizes)), [elements(size) for size in sizes])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set(xlabel="elements", ylabel="PyTorch's time / thinout's", title=f"Dropout, {mode}")
        axes.legend(frameon=False, loc="upper left")
        save(figure, path)


def draw_bars(axes: Any, found: Sequence[tuple[float, float]], colour: str, label: str) -> None:
    """Draw bars from 1 up or down on a logarithmic axis, each with its value."""
    places, values = zip(*found, strict=True)
    axes.bar(places, [value - 1 for value in values], 0.18, bottom=1, color=colour, label=label)
    for place, value in found:
        text = f"{value:.0f}" if value >= 10 else f"{value:.1f}"
        axes.text(place, value, text, ha="center", va="bottom" if value >= 1 else "top", fontsize=6.5)


def draw_steps(steps: Sequence[Json], path: Path) -> None:
    """Draw how many times as fast training steps are with the patch on, with their intervals."""
    with pyplot.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(7.2, 0.4 * len(steps) + 1), layout="constrained")
        for place, row in enumerate(reversed(steps)):
            ratio = row["ratios"][0]
            axes.plot(ratio["median"], place, "o", color=COLOURS[0])
            if ratio["low"] is not None:
                axes.hlines(place, ratio["low"], ratio["high"], color=COLOURS[0], linewidth=2)
            axes.annotate(
                f"{ratio['median']:.2f}", (ratio["median"], place), (0, 6), textcoords="offset points", ha="center"
            )
        axes.axvline(1, color="#444444", linewidth=0.8)
        axes.set_yticks(range(len(steps)), [row["model"] for row in reversed(steps)])
        axes.set_ylim(-0.5, len(steps) - 0.3)
        axes.set(xlabel="time of a training step, patch off / patch on")
        save(figure, path)


def save(figure: Any, path: Path) -> None:
    """Write a figure on a white ground, which is read on a dark page too."""
    figure.savefig(path, facecolor="white", metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def figures(results: dict[str, Json], folder: Path) -> Iterator[str]:
    """Draw what there is, and yield the lines that show it."""
    if "ops" in results:
        for mode, name in (("forward", "forward"), ("forward + backward", "backward")):
            draw_calls(results["ops"]["rows"], mode, folder / f"{name}.svg")
            yield f"![Dropout, {mode}: how many times as fast as PyTorch, by size](bench/{name}.svg)\n"
    if "patch" in results:
        draw_steps(results["patch"]["steps"], folder / "steps.svg")
        yield "![Training steps: time with the patch off divided by time with it on](bench/steps.svg)\n"


SECTIONS = {
    "ops": ops_section,
    "kernel": kernel_section,
    "patch": patch_section,
    "memory": memory_section,
    "layers": layers_section,
    "gpu": gpu_section,
}


def page(results: dict[str, Json], folder: Path) -> Iterator[str]:
    """Yield the lines of the page."""
    yield HEAD
    yield "## Goals\n"
    yield from table(["what", "goal", "measured [95 %]", "reached"], [goal.cells() for goal in goals(results)])
    if "gpu" not in results:
        yield "No GPU was at hand: `benchmarks/bench_gpu.py` is ready to run and has not been run for this page.\n"
    yield from figures(results, folder)
    for name, result in results.items():
        yield from SECTIONS[name](result)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder that holds bench/*.json")
    results_folder = parser.parse_args().results
    folder = results_folder / "bench"
    results = {name: json.loads(path.read_text()) for name in SECTIONS if (path := folder / f"{name}.json").exists()}
    if not results:
        print(f"make_tables: there are no result files in {folder}. Run `make bench` first.", file=sys.stderr)
        return 1
    (results_folder / "benchmarks.md").write_text("\n".join(page(results, folder)).rstrip() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
