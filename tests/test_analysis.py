"""The analysis of a study: rows with known numbers in, the numbers and words that follow from them out."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import stats

from thinout._checks import UsageError
from thinout.lab.analysis import analyse
from thinout.lab.rows import Row
from thinout.lab.statistics import holm, paired_bootstrap

NONE = (0.50, 0.53, 0.51, 0.56, 0.54, 0.52)
HALF = (0.46, 0.47, 0.46, 0.50, 0.51, 0.47)  # arm - none: -0.04 -0.06 -0.05 -0.06 -0.03 -0.05
FIFTH = (0.51, 0.52, 0.52, 0.55, 0.54, 0.53)  # +0.01 -0.01 +0.01 -0.01 0 +0.01


def make_row(arm: str, p: float, seed: int, nll: float, **fields) -> Row:
    validation = fields.pop("validation", nll)
    metrics = {
        "train": {"nll": nll - 0.1, "error": 0.0, "ece": 0.01},
        "validation": {"nll": validation, "error": 0.2, "ece": 0.01},
        "test": {"nll": nll, "error": 0.5 * nll, "ece": 0.01 + 0.001 * seed},
    }
    defaults = {"status": "done", "metrics": metrics, "best_epoch": 5, "num_epochs": 10, "seconds": 2.0 + seed}
    return Row(arm=arm, p=p, seed=seed, **(defaults | fields))


def make_rows(arms: dict[float, tuple[float, ...]], **fields) -> list[Row]:
    return [
        make_row(f"p={p:g}" if p else "none", p, seed, nll, **fields)
        for p, nlls in arms.items()
        for seed, nll in enumerate(nlls)
    ]


def test_numbers_of_an_arm_are_scipys():
    analysis = analyse(make_rows({0.0: NONE, 0.2: FIFTH, 0.5: HALF}))
    truth = {p: stats.ttest_rel(values, NONE) for p, values in ((0.2, FIFTH), (0.5, HALF))}
    adjusted = holm([truth[0.2].pvalue, truth[0.5].pvalue])
    for p, p_holm in zip((0.2, 0.5), adjusted, strict=True):
        arm, interval = analysis.arm(f"p={p}"), truth[p].confidence_interval()
        assert arm.difference.p_value == pytest.approx(truth[p].pvalue, rel=1e-9)
        assert (arm.difference.low, arm.difference.high) == pytest.approx((interval.low, interval.high))
        assert arm.p_holm == pytest.approx(p_holm, rel=1e-9)
    none = analysis.arm("none")
    assert [arm.arm for arm in analysis.arms] == ["none", "p=0.2", "p=0.5"]
    assert none.metrics["nll"].mean == pytest.approx(np.mean(NONE))
    assert none.metrics["gap"].mean == pytest.approx(0.1)
    assert none.metrics["seconds"].mean == pytest.approx(4.5)
    assert (none.difference, none.verdict, none.other_differences) == (None, None, {})
    assert analysis.arm("p=0.5").other_differences["error"].mean == pytest.approx(-0.145 / 6)
    assert "nll" not in analysis.arm("p=0.5").other_differences
    assert analysis.margin == pytest.approx(0.01 * np.mean(NONE))


def test_the_margin_is_set_by_the_validation_part():
    rows = make_rows({0.0: NONE, 0.5: HALF}, validation=0.25)
    assert analyse(rows).margin == pytest.approx(0.0025)


def test_dropout_that_helps():
    """Mean -0.29 / 6, standard error 0.004773, t = 10.13 with 5 degrees of freedom, quantile 2.5706."""
    headline = analyse(make_rows({0.0: NONE, 0.2: FIFTH, 0.5: HALF})).headline
    assert (headline.arm, headline.verdict) == ("p=0.5", "helps")
    assert headline.sentence == (
        "Dropout helps here: p=0.5 lowers test NLL by 0.048 [0.036, 0.061] nats (6 seeds, p-value 0.00016)."
    )


def test_the_arm_is_chosen_on_validation_alone():
    """The arm that is best on test is not the one that is best on validation, and is not chosen."""
    rows = make_rows({0.0: NONE, 0.5: HALF})
    rows += [make_row("p=0.2", 0.2, seed, nll, validation=0.1) for seed, nll in enumerate(FIFTH)]
    headline = analyse(rows).headline
    assert headline.arm == "p=0.2"
    assert headline.difference.mean == pytest.approx(0.01 / 6)


def test_an_arm_chosen_on_validation_may_harm_on_test():
    worse = [nll + 0.1 + 0.01 * seed for seed, nll in enumerate(NONE)]
    rows = make_rows({0.0: NONE}) + [make_row("p=0.5", 0.5, s, nll, validation=0.1) for s, nll in enumerate(worse)]
    headline = analyse(rows).headline
    assert headline.verdict == "harms"
    assert headline.sentence.startswith("Dropout harms here: p=0.5 raises test NLL by 0.125 [0.105, 0.145] nats")


def test_no_evidence_names_the_seeds_that_it_would_take():
    """Mean -0.01 and sd 0.0155 over pairs: an effect of 0.65 sd takes 21 pairs (G*Power 3.1)."""
    arm = [nll + d for nll, d in zip(NONE, (-0.03, 0.01, -0.02, 0.01, -0.02, -0.01), strict=True)]
    headline = analyse(make_rows({0.0: NONE, 0.5: tuple(arm)})).headline
    assert headline.verdict == "no evidence"
    sd = np.std([-0.03, 0.01, -0.02, 0.01, -0.02, -0.01], ddof=1)
    n, effect = headline.num_seeds_needed, 0.01 / sd
    power = [
        stats.nct.sf(stats.t.ppf(0.975, k - 1), k - 1, effect * math.sqrt(k))
        + stats.nct.cdf(-stats.t.ppf(0.975, k - 1), k - 1, effect * math.sqrt(k))
        for k in (n - 1, n)
    ]
    assert power[0] < 0.8 <= power[1]
    assert headline.sentence.startswith("No evidence that dropout helps here: p=0.5 changes test NLL by -0.010 [-0.0")
    assert headline.sentence.endswith(f"To see an effect of this size takes about {n} seeds.")


def test_equivalent_within_the_margin():
    arm = tuple(nll - 0.001 + 0.0001 * (-1) ** seed for seed, nll in enumerate(NONE))
    analysis = analyse(make_rows({0.0: NONE, 0.5: arm}), margin=0.005)
    assert analysis.arm("p=0.5").verdict == analysis.headline.verdict == "equivalent"
    assert analysis.headline.sentence.startswith("Dropout makes no difference that matters here: p=0.5 changes test")
    assert analysis.headline.sentence.endswith("margin 0.005 nats.")
    assert analyse(make_rows({0.0: NONE, 0.5: arm}), margin=0.0005).headline.verdict == "helps"


def test_too_few_seeds():
    headline = analyse(make_rows({0.0: NONE[:4], 0.5: HALF[:4]})).headline
    assert headline.verdict == "too few seeds"
    assert headline.sentence.startswith("Too few seeds for a verdict on p=0.5: p=0.5 changes test NLL by -0.053 [")
    single = analyse(make_rows({0.0: NONE[:1], 0.5: HALF[:1]})).headline
    assert single.sentence == (
        "Too few seeds for a verdict on p=0.5: p=0.5 changes test NLL by -0.040 nats (1 seed, p-value unknown); "
        "run at least 5 seeds."
    )


def test_the_baseline_may_be_chosen():
    worse = tuple(nll + 0.1 + 0.01 * seed for seed, nll in enumerate(NONE))
    headline = analyse(make_rows({0.0: NONE, 0.2: worse, 0.5: worse})).headline
    assert (headline.arm, headline.is_baseline, headline.verdict) == ("none", True, "no evidence")
    assert headline.difference is headline.bootstrap is None
    assert headline.sentence == (
        "No evidence that any arm helps here: none has the lowest validation NLL, "
        "and p=0.2 and p=0.5 are shown to harm on test."
    )


def test_a_single_arm_has_nothing_to_be_compared_with():
    headline = analyse(make_rows({0.0: NONE})).headline
    assert (headline.is_baseline, headline.verdict) == (True, "too few seeds")
    assert headline.sentence == "Nothing to compare: only none has finished runs."


def test_only_seeds_that_both_arms_finished_are_paired():
    rows = make_rows({0.0: NONE, 0.5: HALF})
    rows = [row for row in rows if (row.arm, row.seed) not in {("none", 1), ("p=0.5", 4)}]
    analysis = analyse(rows)
    arm = analysis.arm("p=0.5")
    assert arm.paired_seeds == (0, 2, 3, 5)
    assert arm.difference.mean == pytest.approx(-0.05)
    assert (arm.seeds, analysis.arm("none").seeds) == ((0, 1, 2, 3, 5), (0, 2, 3, 4, 5))
    assert arm.verdict == "too few seeds"


def test_failed_runs_are_listed_and_in_no_number():
    rows = make_rows({0.0: NONE, 0.5: HALF})
    rows[7] = Row(arm="p=0.5", p=0.5, seed=1, status="failed", reason="loss is NaN")
    rows[8].metrics["test"]["nll"] = math.nan
    analysis = analyse(rows)
    assert [(run.arm, run.seed, run.reason) for run in analysis.failed] == [
        ("p=0.5", 1, "loss is NaN"),
        ("p=0.5", 2, "its primary metric is not finite"),
    ]
    assert analysis.arm("p=0.5").seeds == (0, 3, 4, 5)
    assert any("2 run(s) failed" in note and "p=0.5 seed 1, p=0.5 seed 2" in note for note in analysis.notes)


def test_another_metric_that_is_not_finite_is_left_out():
    rows = make_rows({0.0: NONE, 0.5: HALF})
    for row in rows[6:]:
        row.metrics["test"]["ece"] = math.nan
    arm = analyse(rows).arm("p=0.5")
    assert arm.metrics["ece"] is arm.other_differences["ece"] is None
    assert arm.verdict == "helps"


@pytest.mark.parametrize(("num_late", "converged"), [(1, True), (2, False)])
def test_converged_is_nine_of_ten_before_the_last_fifth(num_late, converged):
    rows = make_rows({0.0: NONE[:5], 0.5: HALF[:5]}, best_epoch=8)
    rows[:num_late] = [dataclasses.replace(row, best_epoch=9) for row in rows[:num_late]]
    analysis = analyse(rows)
    assert analysis.convergence.converged is converged
    assert analysis.convergence.share == pytest.approx(1 - num_late / 10)
    assert any("did not converge" in note for note in analysis.notes) is not converged


@pytest.mark.parametrize(("best", "converged"), [(8, True), (9, False)])
def test_a_run_that_keeps_the_last_epoch_converges_by_its_best_one(best, converged):
    """Ten epochs, the lowest validation NLL in epoch `best`, and again in the last, whose weights were measured."""
    history = [{"epoch": epoch, "validation_nll": 1.0 if epoch in (best, 10) else 2.0} for epoch in range(1, 11)]
    fields = {"best_epoch": 10, "history": history, "config": {"recipe": {"epochs": 10, "keep": "last"}}}
    analysis = analyse(make_rows({0.0: NONE, 0.5: HALF}, **fields))
    assert analysis.convergence.num_converged == (12 if converged else 0)
    assert any("did not converge" in note for note in analysis.notes) is not converged


def test_an_epoch_without_a_finite_validation_loss_is_not_the_best():
    history = [{"epoch": epoch, "validation_nll": math.nan} for epoch in range(1, 11)]
    history[8]["validation_nll"] = 1.0
    del history[0]["validation_nll"]
    rows = make_rows({0.0: NONE, 0.5: HALF}, history=history)
    assert not analyse(rows).convergence.converged


def test_bootstrap_is_over_the_examples_of_the_test_part():
    generator = np.random.default_rng(0)
    rows = make_rows({0.0: NONE, 0.5: HALF})
    for row in rows:
        row.arrays["test_nll"] = generator.normal(row.value("nll"), 0.3, size=50).astype(np.float32)
        row.arrays["test_label"] = np.arange(50) % 10
    arm, baseline = ([row.arrays["test_nll"] for row in rows if row.arm == name] for name in ("p=0.5", "none"))
    assert analyse(rows).headline.bootstrap == paired_bootstrap(arm, baseline)
    rows[0].arrays["test_label"] = np.arange(50) % 9  # other examples
    assert analyse(rows).headline.bootstrap is None


@pytest.mark.parametrize(("digests", "is_there"), [("aaaaaa", True), ("aaabaa", False)])
def test_bootstrap_wants_the_same_test_examples_in_all_seeds_not_only_the_same_labels(digests, is_there):
    rows = make_rows({0.0: NONE, 0.5: HALF})
    for row in rows:
        row.arrays["test_nll"] = np.full(50, row.value("nll"), dtype=np.float32)
        row.arrays["test_label"] = np.arange(50) % 10
        row.fingerprints["test"] = digests[row.seed]
    assert (analyse(rows).headline.bootstrap is not None) is is_there


@pytest.mark.parametrize(
    ("num_epochs", "advice"),
    [((10, 10), "Raise epochs before"), ((6, 6), "Raise patience before"), ((10, 6), "Raise epochs and patience")],
)
def test_the_note_names_the_field_that_ended_the_late_runs(num_epochs, advice):
    rows = make_rows({0.0: NONE[:2], 0.5: HALF[:2]})
    rows = [
        dataclasses.replace(row, best_epoch=n, num_epochs=n, config={"recipe": {"epochs": 10, "patience": 1}})
        for row, n in zip(rows, 2 * num_epochs, strict=True)
    ]
    assert any(advice in note for note in analyse(rows).notes)


def test_unequal_starts_are_told():
    rows = [
        dataclasses.replace(row, fingerprints={"init": row.arm if row.seed == 2 else "a", "order": "b"})
        for row in make_rows({0.0: NONE, 0.5: HALF})
    ]
    assert analyse(rows).notes == (
        "p=0.5 and the baseline do not share the same init in 1 of 6 pairs: their difference is not due to the arm "
        "alone.",
    )


def test_a_headline_that_holm_does_not_bear_out_comes_with_a_note():
    """Two equal arms with p = 0.04: alone below 0.05, as one of two arms not."""
    differences = (-0.09, -0.02, -0.08, 0.00, -0.06, -0.01)
    assert 0.025 < stats.ttest_1samp(differences, 0).pvalue < 0.05
    arm = tuple(nll + d for nll, d in zip(NONE, differences, strict=True))
    analysis = analyse(make_rows({0.0: NONE, 0.2: arm, 0.5: arm}))
    assert analysis.headline.verdict == "helps"
    assert analysis.arm("p=0.2").verdict == "no evidence"
    assert any(note.startswith("Read the headline with care") for note in analysis.notes)


def test_without_any_effect_false_verdicts_stay_within_their_bounds():
    """Three idle arms, validation equal to test: the worst case for a headline chosen on validation.

    Holm keeps P(any arm helps or harms) <= 5 %; the headline's false "helps" is at most 3 * 2.5 %, since each arm's
    one-sided test has 2.5 %. One-sided exact tests of 400 studies, false-alarm rate 1e-6 each, seed fixed.
    """
    generator, num_studies, false_arms, false_headlines = np.random.default_rng(2), 400, 0, 0
    for _ in range(num_studies):
        arms = {p: tuple(generator.normal(1.0, 0.01, size=8)) for p in (0.0, 0.2, 0.3, 0.5)}
        analysis = analyse(make_rows(arms), margin=1e-9)
        false_arms += any(arm.verdict in ("helps", "harms") for arm in analysis.arms)
        false_headlines += analysis.headline.verdict == "helps"
    assert stats.binomtest(false_arms, num_studies, 0.05, alternative="greater").pvalue > 1e-6
    assert stats.binomtest(false_headlines, num_studies, 0.075, alternative="greater").pvalue > 1e-6


def test_error_as_primary_metric_is_told_in_percentage_points():
    rows = make_rows({0.0: NONE, 0.5: HALF})
    for row in rows:
        row.metrics["validation"]["error"] = row.metrics["test"]["error"]
    assert "lowers test error by 2.42 [1.80, 3.03] percentage points" in analyse(rows, metric="error").headline.sentence


def test_everything_goes_into_json():
    content = analyse(make_rows({0.0: NONE, 0.2: FIFTH, 0.5: HALF})).to_dict()
    assert content["convergence"] == {"num_runs": 18, "num_converged": 18, "share": 1.0, "converged": True}
    assert json.loads(json.dumps(content, allow_nan=False))["headline"]["verdict"] == "helps"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"baseline": "p=0"}, r"`baseline` must be an arm with a finished run, got 'p=0' among none, p=0.5"),
        ({"metric": "accuracy"}, r"`metric` must be one of balanced_error, ece, error, nll, got 'accuracy'"),
        ({"margin": 0.0}, r"`margin` must be a positive number, got 0.0"),
    ],
)
def test_bad_options_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        analyse(make_rows({0.0: NONE, 0.5: HALF}), **options)
    with pytest.raises(UsageError, match="among no finished run"):
        analyse([])


def test_an_arm_that_changes_its_recipe_too_is_not_called_dropout():
    def recipe(weighted: bool) -> dict[str, object]:
        return {"recipe": {"epochs": 10, "class_weights": weighted}}

    rows = [make_row("none", 0.0, seed, nll, config=recipe(False)) for seed, nll in enumerate(NONE)]
    rows += [make_row("weights+p=0.5", 0.5, seed, nll, config=recipe(True)) for seed, nll in enumerate(HALF)]
    analysis = analyse(rows)
    assert analysis.headline.sentence.startswith("Weights+p=0.5 helps here: it lowers test NLL by 0.048 ")
    assert analysis.headline.also_changed == ("class_weights",)
    assert any("differs from the baseline in class_weights too" in note for note in analysis.notes)
    plain = [dataclasses.replace(row, config=recipe(False)) for row in rows]
    assert analyse(plain).headline.sentence.startswith("Dropout helps here")
