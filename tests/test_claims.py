"""Claims: fixed before they run, measured once, judged by the rule that they state."""

from __future__ import annotations

import json
import re
from concurrent.futures import Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thinout._checks import UsageError
from thinout.cli import run
from thinout.lab.claims import (
    VERDICTS,
    ClaimError,
    Effect,
    Evidence,
    Unit,
    all_claims,
    find,
    grid,
    remaining,
    run_claim,
)
from thinout.lab.claims import _run as runner
from thinout.lab.claims import c01_overfitting as c01
from thinout.lab.claims._page import effect_text

IDS = [f"C{number:02d}" for number in range(1, 26)]
QUICK = ("C05", "C15")  # of the quick forms, those of a second


class Here(Executor):
    """Measures in this process; fails on the units that it is told to."""

    def __init__(self, failing: frozenset[str] = frozenset()) -> None:
        self.failing, self.made = failing, list[str]()

    def submit(self, fn, /, name, unit, size):  # type: ignore[no-untyped-def, override]
        future: Future[object] = Future()
        if unit.name in self.failing:
            future.set_exception(RuntimeError("no such luck"))
        else:
            self.made.append(unit.name)
            future.set_result(fn(name, unit, size))
        return future


def test_every_claim_of_the_article_is_there() -> None:
    assert [claim.id for claim in all_claims()] == IDS


@pytest.mark.parametrize("claim", all_claims(), ids=lambda claim: claim.id)
def test_everything_is_fixed_before_the_run(claim) -> None:  # type: ignore[no-untyped-def]
    for name in ("section", "title", "statement", "hypothesis", "refutation", "data", "metric", "rule"):
        assert getattr(claim, name), name
    assert all(claim.arms.values())
    full, quick = claim.units("full"), claim.units("quick")
    assert {unit.name for unit in full} != set()
    assert len({unit.name for unit in full}) == len(full)
    assert len(quick) <= len(full)
    assert any(word in claim.rule.lower() for word in VERDICTS)
    named = {panel_arm for panel in claim.panels for panel_arm in panel.arms}
    assert named <= {unit.arm for unit in full}


# Counts of operations are exact, timings of one net are not random in the claim's sense, and C22 reads what was run.
EXACT = ("C15", "C22")


@pytest.mark.parametrize("claim", all_claims(), ids=lambda claim: claim.id)
def test_what_is_random_has_eight_seeds(claim) -> None:  # type: ignore[no-untyped-def]
    assert claim.id in EXACT or len({unit.seed for unit in claim.units("full")}) >= 8


def test_a_claim_is_measured_once_and_goes_on_after_a_failure(tmp_path: Path) -> None:
    claim = find("C15")
    names = [unit.name for unit in claim.units("quick")]
    with pytest.raises(
        ClaimError, match=rf"C15 could not be measured: {re.escape(names[0])} \(RuntimeError: no such luck"
    ):
        run_claim(claim, tmp_path, size="quick", executor=Here(frozenset(names[:1])))
    assert [unit.name for unit in remaining(tmp_path, claim, "quick")] == names[:1]
    second = Here()
    measurements = run_claim(claim, tmp_path, size="quick", executor=second)
    assert second.made == names[:1]
    assert [each.unit.name for each in measurements] == names
    third = Here()
    run_claim(claim, tmp_path, size="quick", executor=third)
    assert third.made == []


def test_measurements_of_another_statement_are_refused(tmp_path: Path) -> None:
    claim = find("C15")
    run_claim(claim, tmp_path, size="quick", executor=Here())
    softened = replace(claim, rule="Supported if we like it.")
    with pytest.raises(UsageError, match="holds measurements of C15 as it was stated before"):
        remaining(tmp_path, softened, "quick")


def test_a_damaged_measurement_is_named(tmp_path: Path) -> None:
    claim = find("C15")
    run_claim(claim, tmp_path, size="quick", executor=Here())
    file = next((tmp_path / "C15-quick").glob("*.json"))
    file.write_text(file.read_text()[:40])
    with pytest.raises(ClaimError, match=f"{re.escape(str(file))} cannot be read"):
        remaining(tmp_path, claim, "quick")


@pytest.mark.parametrize("values", [{}, {"parameters": "abc"}, None])
def test_a_measurement_without_numbers_is_damaged(tmp_path: Path, values: object) -> None:
    claim = find("C15")
    run_claim(claim, tmp_path, size="quick", executor=Here())
    file = next((tmp_path / "C15-quick").glob("none*.json"))
    file.write_text(json.dumps(json.loads(file.read_text()) | {"values": values}))
    with pytest.raises(ClaimError, match=f"{re.escape(str(file))} cannot be read"):
        remaining(tmp_path, claim, "quick")


def test_one_damaged_claim_does_not_take_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in QUICK:
        run_claim(find(name), tmp_path, size="quick", executor=Here())
    file = next((tmp_path / "C15-quick").glob("none*.json"))
    file.write_text("{")
    options = ["--quick", "--folder", str(tmp_path)]
    assert run(["claims", "report", "C05", *options]) == 0  # the page is of all claims, whatever is asked for
    assert run(["claims", "report", *options]) == 1
    page = (tmp_path / "report-quick.html").read_text()
    assert page.count("Verdict: quick run:") == 1
    assert page.count("Verdict: cannot be read") == 1
    assert page.count("Verdict: not run") == len(IDS) - 2
    assert run(["claims", "run", *QUICK, *options]) == 1
    assert f"{file.name} cannot be read" in capsys.readouterr().err.replace("\n", " ")


def test_a_folder_without_measurements_or_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    assert run(["claims", "report", "--folder", str(tmp_path / "none")]) == 2
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").write_text("")
    assert run(["claims", "run", "C15", "--quick", "--folder", str(tmp_path / "file")]) == 2


def _arm(name: str, validation: float, change: float | None = None, num_pairs: int = 5) -> dict[str, Any]:
    """Return an arm of a report; its test NLL without dropout is 0.5, its interval 0.02 wide to either side."""
    difference = None if change is None else {
        "mean": change, "low": change - 0.02, "high": change + 0.02, "p_value": 0.001,
    }  # fmt: skip
    return {
        "arm": name, "p": 0.0 if name == "none" else float(name.removeprefix("p=")),
        "paired_seeds": list(range(num_pairs)),
        "validation": {"mean": validation}, "metrics": {"nll": {"mean": 0.5}}, "difference": difference,
        "verdict": None if change is None else "helps" if change < 0 else "harms",
    }  # fmt: skip


def test_what_reads_results_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claim, studies = find("C22"), tmp_path / "studies"
    monkeypatch.setenv("THINOUT_STUDIES", str(studies))
    before = run_claim(claim, tmp_path, executor=Here())
    assert {each.values["studies"] for each in before} == {0}
    (studies / "one").mkdir(parents=True)
    content = {
        "study": {"case": "lenet5", "command": "thinout study lenet5"},
        "analysis": {"arms": [_arm("none", 0.5), _arm("p=0.5", 0.4, change=0.1)], "baseline": "none", "metric": "nll"},
    }
    (studies / "one" / "results.json").write_text(json.dumps(content))
    after = {each.unit.arm: each.values for each in run_claim(claim, tmp_path, executor=Here())}
    assert (after["lenet5"]["studies"], after["lenet5"]["arms that harm"]) == (1, 1)
    assert after["lenet5"]["study 1: change, mean"] == pytest.approx(20.0)  # 0.1 of 0.5
    (studies / "one" / "results.json").write_text("{")
    with pytest.raises(ClaimError, match=r"results\.json cannot be read"):
        run_claim(claim, tmp_path, executor=Here())


@pytest.mark.parametrize(
    ("arms", "recipes", "studies", "pairs", "change"),
    [
        # Of the arms with at least five pairs validation chooses one.
        ([_arm("none", 0.5), _arm("p=0.2", 0.3, 0.1, num_pairs=2), _arm("p=0.5", 0.4, 0.2, num_pairs=6)], {}, 1, 6, 40),
        ([_arm("none", 0.5), _arm("p=0.2", 0.3, num_pairs=0), _arm("p=0.5", 0.6, 0.2)], {}, 1, 5, 0),
        ([_arm("none", 0.5), _arm("p=0.5", 0.3, num_pairs=1)], {}, 0, None, None),
        # Without dropout nothing is the baseline, or its metric is 0: no change of it is a percentage.
        ([_arm("p=0.5", 0.5), _arm("p=0.2", 0.4, 0.1)], {}, 0, None, None),
        ([_arm("none", 0.5) | {"metrics": {"nll": {"mean": 0.0}}}, _arm("p=0.2", 0.4, 0.1)], {}, 0, None, None),
        # What differs in p alone is judged, whatever recipe they share.
        ([_arm("none", 0.5), _arm("p=0.2", 0.4, 0.1)], {"none": {"lr": 0.1}}, 0, None, None),
        ([_arm("none", 0.5), _arm("p=0.2", 0.4, 0.1)], {"none": {"lr": 0.1}, "p=0.2": {"lr": 0.1}}, 1, 5, 20),
        ([_arm("none", 0.5), _arm("p=0.2", 0.4, 0.1)], {"p=0.2": {"lr": 0.1}}, 0, None, None),
    ],
)
@pytest.mark.parametrize("command", [{}, {"command": ["thinout", "study", "lenet5"]}])
def test_c22_reads_what_can_be_compared(  # six parameters: a case of a report, and what is read of it
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arms, recipes, studies, pairs, change, command
) -> None:
    monkeypatch.setenv("THINOUT_STUDIES", str(tmp_path / "studies"))
    (tmp_path / "studies" / "one").mkdir(parents=True)
    listed = [{"name": arm["arm"], "p": arm["p"], "recipe": recipes.get(arm["arm"], {})} for arm in arms]
    content = {
        "study": {"case": "lenet5", "arms": listed} | command,
        "analysis": {"arms": arms, "baseline": arms[0]["arm"], "metric": "nll"},
    }
    (tmp_path / "studies" / "one" / "results.json").write_text(json.dumps(content))
    measured = find("C22").measure(Unit(arm="lenet5", seed=0), "full")
    assert (measured["studies"], measured.get("study 1: pairs")) == (studies, pairs)
    assert measured["studies left out"] == 1 - studies
    assert measured.get("study 1: change, mean") == (None if change is None else pytest.approx(change))


def test_a_claim_that_shares_measurements_counts_them_once(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = []
    for names in (["C01"], ["C01", "C12"], ["c01", "C01"]):
        assert run(["claims", "run", *names, "--dry-run", "--json"]) == 0
        numbers.append(json.loads(capsys.readouterr().out)["left"])
    assert numbers == [128] * 3


def test_the_ticks_of_logarithmic_axes_are_numbers(tmp_path: Path) -> None:
    options = ["--quick", "--folder", str(tmp_path)]
    run_claim(find("C15"), tmp_path, size="quick", executor=Here())
    assert run(["claims", "report", *options]) == 0
    assert "mathdefault" not in (tmp_path / "report-quick.html").read_text()


def test_nothing_is_judged_before_everything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(ClaimError, match=r"6 measurements of C15 are missing .* Run `thinout claims run C15`"):
        runner.judge(find("C15"), tmp_path, "quick")


def test_the_units_come_seed_by_seed_so_that_an_early_stop_leaves_pairs() -> None:
    assert [(unit.seed, unit.x, unit.arm) for unit in grid(("a", "b"), 2, (1, 2))] == [
        (seed, x, arm) for seed in range(2) for x in (1, 2) for arm in "ab"
    ]
    assert Unit(arm="p=0.5, x classes", seed=3, x=0.1).name == "p=0.5,_x_classes-0.1-seed-3"


def evidence(effect: float, xs=c01.SIZES, noise: float = 0.01, seeds: int = 8, **others: float) -> Evidence:  # type: ignore[no-untyped-def]
    """Return evidence in which p = 0.5 changes gap and test NLL by `effect` at each place."""
    generator = np.random.default_rng(0)
    cells = {}
    for x in xs:
        base = generator.normal(1, 0.1, seeds)
        for arm, shift in (("none", 0.0), ("p=0.2", effect / 2), ("p=0.5", effect)):
            values = base + shift + generator.normal(0, noise, seeds)
            names = ("gap", "test NLL", "test error", "train error")
            cells[arm, x] = {seed: dict.fromkeys(names, float(value)) for seed, value in enumerate(values)}
    return Evidence(cells)


@pytest.mark.parametrize(("effect", "verdict"), [(-0.3, "supported"), (0.3, "refuted"), (0.0, "no evidence")])
def test_the_verdict_follows_the_effect(effect: float, verdict: str) -> None:
    assert find("C01").judge(evidence(effect)).verdict == verdict
    assert find("C12").judge(evidence(effect)).verdict == verdict


def test_an_effect_at_one_size_alone_is_a_condition() -> None:
    mixed = Evidence({**evidence(0.0).cells, **evidence(-0.3, xs=c01.SIZES[:1]).cells})
    finding = find("C01").judge(mixed)
    assert (finding.verdict, finding.condition) == ("conditional", "the number of training images")


def test_noise_alone_seldom_gives_a_verdict() -> None:
    """Under no effect a verdict other than "no evidence" comes with a probability of at most 5 % a metric: of 40 draws
    of seeds, more than 9 would come with a probability below 1e-4 (binomial, 5 % each of two metrics)."""
    wrong = 0
    for draw in range(40):
        generator = np.random.default_rng(draw)
        cells = {
            (arm, x): {seed: {"gap": generator.normal(), "test NLL": generator.normal()} for seed in range(8)}
            for x in c01.SIZES
            for arm in c01.ARMS
        }
        wrong += find("C01").judge(Evidence(cells)).verdict != "no evidence"
    assert wrong <= 9


def test_pairs_are_made_by_seed() -> None:
    cells = {("a", None): {0: {"v": 1.0}, 1: {"v": 5.0}, 2: {"v": 9.0}}, ("b", None): {1: {"v": 4.0}, 2: {"v": 8.0}}}
    difference = Evidence(cells).difference("a", "b", "v")
    assert (difference.n, difference.mean) == (2, 1.0)
    assert Evidence(cells).ratio("a", "b", "v").mean == pytest.approx(np.sqrt(5 / 4 * 9 / 8))


def test_an_effect_reads_as_a_number_with_its_interval() -> None:
    assert effect_text(Effect(name="count", value=3)) == "3 (n = 1)"


def test_the_command_lists_runs_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["claims", "list", "--json"]) == 0
    assert [claim["id"] for claim in json.loads(capsys.readouterr().out)] == IDS
    options = ["--quick", "--folder", str(tmp_path)]
    assert run(["claims", "run", *QUICK, *options, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["left"] == sum(len(find(name).units("quick")) for name in QUICK)
    assert run(["claims", "run", *QUICK, *options, "--json", "--jobs", "1"]) == 0
    results = json.loads(capsys.readouterr().out)["results"]
    assert results["C05"]["finding"]["verdict"] in VERDICTS  # two seeds of random nets prove nothing
    assert results["C15"]["finding"]["verdict"] == "conditional"
    page = (tmp_path / "report-quick.html").read_text()
    assert all(f'id="{name}"' in page for name in QUICK)
    assert page.count("<svg") == sum(len(find(name).panels) for name in QUICK)
    assert "Its few seeds prove nothing" in page
    seeds = [len({unit.seed for unit in find(name).units("quick")}) for name in IDS]
    assert [int(number) for number in re.findall(r"<dt>Seeds</dt><dd>(\d+)</dd>", page)] == seeds
    assert run(["claims", "report", *QUICK, *options]) == 0
    assert "Dropout adds no parameter" in " ".join(capsys.readouterr().out.split())


def test_a_claim_that_does_not_exist_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["claims", "run", "C99"]) == 2
    assert "must be one of C01, C02" in capsys.readouterr().err


def test_missing_data_are_an_error_that_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THINOUT_DATA", raising=False)
    monkeypatch.setenv("THINOUT_CACHE", str(tmp_path / "empty"))
    assert run(["claims", "run", "C01", "--quick", "--folder", str(tmp_path), "--jobs", "1"]) == 1
    assert "thinout data fetch fashion-mnist" in " ".join(capsys.readouterr().err.split())


def test_the_results_that_are_published_are_of_these_claims() -> None:
    """A published result whose claim was stated otherwise when it was measured proves nothing."""
    folder = Path(__file__).parents[1] / "docs" / "results" / "claims"
    files = sorted(folder.glob("C*/result.json"))
    for file in files:
        content = json.loads(file.read_text())
        claim = find(file.parent.name)
        assert content["size"] == "full"
        assert content["digest"] == runner.measured_by(claim).digest("full"), f"{claim.id} was changed after its run"
