"""The benchmarks measure what they say: turns, ratios, intervals, and no speed of a wrong kernel."""

from __future__ import annotations

import gc
import json
import math
import re
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
