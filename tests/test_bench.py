"""The benchmarks measure what they say: turns, ratios, intervals, and no speed of a wrong kernel."""

from __future__ import annotations

import gc
import json
import math
import re
import runpy
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import torch

import thinout
from thinout import ops
from thinout._checks import ThinoutError
from thinout.cli import _bench, run
from thinout.lab import bench

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


# The bounds of the sign test's interval: Conover 1999, Practical Nonparametric Statistics, table A3 (p = 1/2): the
# largest k with P(Binomial(n, 1/2) <= k) <= 0.025 is 0, 1, 5, 9 for n = 6, 10, 20, 30; bounds are values k+1 and n-k.
@pytest.mark.parametrize(("n", "k"), [(6, 0), (10, 1), (20, 5), (30, 9)])
def test_interval_of_the_median_is_the_sign_tests(n: int, k: int) -> None:
    ratio = bench.median_interval([float(i) for i in range(n, 0, -1)])
    assert ratio == bench.Ratio((n + 1) / 2, k + 1.0, float(n - k))


def test_five_values_have_no_interval() -> None:
    assert bench.median_interval([1.0, 2.0, 3.0, 4.0, 5.0]) == bench.Ratio(3.0, None, None)


def test_no_values_are_an_error() -> None:
    with pytest.raises(ValueError, match=re.escape("median_interval: `len(values)` must be")):
        bench.median_interval([])


def test_ratios_are_taken_within_a_round() -> None:
    times = bench.Times({"slow": [2.0, 40.0, 600.0], "fast": [1.0, 10.0, 100.0]})
    assert times.ratio("slow", "fast").median == 4.0  # the ratio of the medians is 4, of the sums 5.8
    assert times.ratio("fast", "slow").median == 0.25
    record = times.record([("slow", "fast"), ("slow", "absent")])
    assert record["ratios"] == [{"over": "slow", "under": "fast", "median": 4.0, "low": None, "high": None}]


def test_each_contender_has_one_turn_a_round_in_changing_order() -> None:
    turns: list[str] = []

    @contextmanager
    def noting(name: str):
        turns.append(name)
        yield

    names = "abc"
    arms = {name: bench.Contender(lambda: None, partial(noting, name)) for name in names}
    times = bench.take_turns(arms, 12, shortest=0)
    rounds = ["".join(turns[start : start + 3]) for start in range(6, len(turns), 3)]  # the first two are warm-up
    assert len(rounds) == 12
    assert all(sorted(order) == list(names) for order in rounds)
    assert len(set(rounds)) > 2
    assert {name: len(seconds) for name, seconds in times.seconds.items()} == dict.fromkeys(names, 12)


def test_a_call_is_timed_without_its_context_and_short_calls_are_repeated() -> None:
    calls = 0

    def call() -> None:
        nonlocal calls
        calls += 1

    @contextmanager
    def slow():
        time.sleep(0.02)
        yield

    times = bench.take_turns({"call": bench.Contender(call, slow)}, 1, shortest=1e-3)
    assert times.median("call") < 0.02
    assert calls > 10


def test_time_is_seconds_of_one_call() -> None:
    times = bench.take_turns({"sleep": lambda: time.sleep(0.01)}, 1, shortest=0.025)
    assert times.median("sleep") >= 0.01
    assert times.median("sleep") < 0.5  # three calls are repeated; their sum on a stalled machine is still below


def test_quiet_restores_threads_and_garbage_collection() -> None:
    before = torch.get_num_threads()
    with bench.quiet(before + 1):
        assert not gc.isenabled()
        assert torch.get_num_threads() == before + 1
    assert gc.isenabled()
    assert torch.get_num_threads() == before


def _broken(*arguments: object, backend: str | None = None, right=ops.dropout, **options: object) -> torch.Tensor:
    """Return dropout with one element wrong, other than in the reference."""
    y = right(*arguments, backend=backend, **options)
    if backend is None:
        y = y + torch.nn.functional.one_hot(torch.tensor(0), y.numel())
    return y


def test_nothing_is_timed_where_values_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    bench.check_dropout(torch.randn(100_003), 0.3)
    bench.check_fused(torch.randn(6, 64), torch.randn(6, 64), torch.randn(64), 0.3)
    bench.check_patch(torch.randn(1 << 16), 0.3)
    monkeypatch.setattr(ops, "dropout", _broken)
    with pytest.raises(ThinoutError, match="differs from the reference for 1000 "):
        bench.check_dropout(torch.randn(1000), 0.3)
    with pytest.raises(ThinoutError, match="not timed"):
        bench.short_bench([1000], rounds=1)


def test_wrong_fused_forms_and_a_patch_that_does_not_serve_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thinout.lab.bench._equality.dropout_add", lambda x, *_, **__: x)
    with pytest.raises(ThinoutError, match="dropout_add"):
        bench.check_fused(torch.randn(6, 64), torch.randn(6, 64), torch.randn(64), 0.3)
    with pytest.raises(ThinoutError, match="patch_torch"):
        bench.check_patch(torch.randn(8), 0.5)  # under the break-even: PyTorch's own masks


def _tiny(**options: object) -> dict[str, object]:
    return bench.short_bench([64, 4096], rounds=6, batch=2, width=8, **options)


def test_short_form_measures_every_size_both_ways() -> None:
    done = []
    result = _tiny(progress=lambda *numbers: done.append(numbers))
    assert [(call["size"], call["pass"]) for call in result["calls"]] == [
        (64, "forward"), (64, "forward + backward"), (4096, "forward"), (4096, "forward + backward"),
    ]  # fmt: skip
    for row in (*result["calls"], result["step"]):
        assert all(time > 0 for time in row["microseconds"].values())
        assert 0 < row["speedup"]["low"] <= row["speedup"]["median"] <= row["speedup"]["high"]
    assert done == [(number, 6 * 5) for number in range(6 * 5 + 1)]


def test_result_names_command_versions_hardware_and_load(tmp_path: Path) -> None:
    measurement = bench.Measurement("a command", 7)
    measurement.write(tmp_path / "new" / "x.json", rows=[{"time": math.pi}])
    result = json.loads((tmp_path / "new" / "x.json").read_text())
    assert result["command"] == "a command"
    assert result["rows"] == [{"time": 3.1416}]
    frame = result["provenance"]
    assert frame["torch"] == torch.__version__
    assert frame["thinout"] == thinout.__version__
    assert frame["rounds"] == 7
    assert frame["threads"] == torch.get_num_threads()
    assert {"cpu", "cores", "isa", "python", "revision", "started", "ended"} <= set(frame)
    assert {"load_average_start", "load_average_end"} <= set(frame)


@pytest.mark.parametrize("as_json", [False, True])
def test_command_prints_a_table_and_a_sentence_or_json(
    as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_bench, "short_bench", _tiny)
    assert run(["bench", *["--json"] * as_json]) == 0
    printed = capsys.readouterr().out
    if as_json:
        assert json.loads(printed)["provenance"]["rounds"] == 6
        return
    assert f"torch {torch.__version__}" in printed
    assert len(re.findall(r"^(forward|with backward|MLP step).*\d\]", printed, re.MULTILINE)) == 5
    assert re.search(
        r"\nA call of thinout's dropout is [\d.]+( to [\d.]+)? times as fast as .* as fast \(95 %", printed
    )


def _run_script(name: str, *arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *arguments])
        try:
            runpy.run_path(str(BENCHMARKS / name), run_name="__main__")
        except SystemExit as stop:
            return int(stop.code or 0)
    return 0


def test_page_is_made_of_what_was_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tmp_path / "bench" / "ops.json"
    assert _run_script("bench_ops.py", "--sizes", "64", "--rounds", "6", "--threads", "1", "--out", str(result)) == 0
    rows = {(row["mode"], row["dtype"]): row for row in json.loads(result.read_text())["rows"]}
    assert len(rows) == 2 * 5
    assert _run_script("make_tables.py", "--results", str(tmp_path)) == 0
    page = (tmp_path / "benchmarks.md").read_text()
    ratio = rows["layer, forward + backward", "float32"]["ratios"][0]
    (goal,) = re.findall(r"^\| layer, forward \+ backward, 64 elements \|.*", page, re.MULTILINE)
    assert f"| {ratio['median']:.3g} [{ratio['low']:.3g}, {ratio['high']:.3g}] |" in goal
    assert goal.endswith("| yes |" if ratio["median"] >= 1 else "| no |")
    assert "| dropout, forward, float32, 1 Mi | at least 25 times as fast | not measured |  |" in page
    assert (tmp_path / "bench" / "forward.svg").read_text().startswith("<?xml")
    assert "bench_gpu.py` is ready to run and has not been run" in page


def test_no_page_is_made_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run_script("make_tables.py", "--results", str(tmp_path)) == 1
    assert "make bench" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def _row(**fields: object) -> dict[str, object]:
    ratio = {"over": "off", "under": "on", "median": 1.0, "low": 0.9, "high": 1.1}
    return {**fields, "ratios": [ratio | {name: fields[name] for name in ("median", "high") if name in fields}]}


@pytest.mark.parametrize(("median", "high", "reached"), [(0.96, 0.98, True), (0.96, 0.97, False), (0.94, 1.1, False)])
def test_no_step_may_be_slower(median: float, high: float, reached: bool) -> None:
    tables = runpy.run_path(str(BENCHMARKS / "make_tables.py"))
    *_, slowest = tables["step_goals"]([_row(model="one"), _row(model="two", median=median, high=high)])
    assert slowest.reached is reached
    assert "(two)" in slowest.measured


@pytest.mark.parametrize(("more", "high", "expected"), [(10.0, 1.0, (True, True)), (10.1, 0.99, (False, False))])
def test_single_calls_are_judged_at_their_worst(more: float, high: float, expected: tuple[bool, bool]) -> None:
    tables = runpy.run_path(str(BENCHMARKS / "make_tables.py"))
    extra = {"median": more, "low": None, "high": None}
    calls = [_row(size=64, more_us=extra | {"median": 0.0}), _row(size=4096), _row(size=1024, more_us=extra)]
    goals = tables["single_call_goals"]([row | {"pass": "forward"} for row in (*calls, _row(size=65536, high=high))])
    assert tuple(goal.reached for goal in goals) == expected


def test_kept_bytes_are_those_of_pytorchs_mask_and_of_our_key() -> None:
    """PyTorch's dropout keeps a float32 mask, 4 bytes an element; ours keeps one int64."""
    memory = runpy.run_path(str(BENCHMARKS / "bench_memory.py"))
    assert memory["call_bytes"](torch.nn.Dropout(0.5), 1000) == 4000
    assert memory["call_bytes"](thinout.nn.Dropout(0.5), 1000) == 8


def test_peak_is_that_of_live_memory() -> None:
    """A call that fills 64 MiB and frees it has a peak of that size, to an eighth for what else the process does."""
    code = (
        "import runpy, sys, torch; memory = runpy.run_path(sys.argv[1]); "
        "print(memory['peak_bytes'](lambda: torch.ones(16 << 20).sum()))"
    )
    # In a fresh process, as the benchmark does: this one may hold freed memory that the call would fill first.
    command = [sys.executable, "-c", code, str(BENCHMARKS / "bench_memory.py")]
    peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not Path("/proc/self/status").exists():
        assert peak == "None"
    else:
        assert 7 / 8 < int(peak) / (64 << 20) < 9 / 8
