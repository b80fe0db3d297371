"""Tasks: numbers that can be had from scikit-learn's definitions, from closed forms or by hand."""

import dataclasses
import math
import sys

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.utils.data import TensorDataset

from thinout._checks import UsageError
from thinout.lab.case import Case, Recipe, Run, dropout_arm
from thinout.lab.data import Splits
from thinout.lab.metrics import balanced_error, binary_metrics
from thinout.lab.rows import PRIMARY
from thinout.lab.study import plan
from thinout.lab.tasks import TASKS, get_task
from thinout.lab.training import train_run
from thinout.nn import Dropout

NUM, STEPS, FEATURES = 60, 5, 4


def token_splits():
    """Return sequences of ids whose next token is the next number, modulo 7."""
    starts = torch.arange(NUM).unsqueeze(1) + torch.arange(STEPS)
    part = TensorDataset(starts % 7, (starts + 1) % 7)
    return Splits(part, part, part, num_classes=7, shape=(STEPS,))


def number_splits():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(NUM, FEATURES, generator=generator)
    y = x[:, :2] @ torch.tensor([[1.0, 0.0], [0.5, -1.0]])
    part = TensorDataset(x, (y - y.mean(0)) / y.std(0))
    return Splits(part, part, part, num_classes=2, shape=(FEATURES,))


CASES = {
    "tokens": Case(
        name="next",
        task="tokens",
        model=lambda p: nn.Sequential(nn.Embedding(7, 16), Dropout(p), nn.Linear(16, 7)),
        data=token_splits(),
        recipe=Recipe(epochs=15, batch_size=16, lr=0.03),
    ),
    "regression": Case(
        name="sums",
        task="regression",
        model=lambda p: nn.Sequential(nn.Linear(FEATURES, 16), nn.ReLU(), Dropout(p), nn.Linear(16, 2)),
        data=number_splits(),
        recipe=Recipe(epochs=40, batch_size=16, lr=0.03),
    ),
}


def trained(case, p=0.0):
    return train_run(Run(case=case.name, data=None, arm=dropout_arm(p), seed=0, recipe=case.recipe), case=case)


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_each_task_learns_and_leaves_a_row(name):
    row = trained(CASES[name])
    assert row.status == "done", row.reason
    assert row.metrics["test"]["error"] < 0.1
    assert math.isnan(row.metrics["test"]["ece"])
    assert row.arrays["test_nll"].shape == row.arrays["test_error"].shape == (NUM,)
    assert row.metrics["test"]["error"] == pytest.approx(row.arrays["test_error"].mean())
    assert row.metrics["test"]["nll"] == pytest.approx(row.arrays["test_nll"].mean(), rel=1e-5)


def test_the_error_of_a_regression_is_one_for_the_training_mean():
    targets = torch.randn(50, 3)
    task = get_task("regression")
    assert task.metrics(torch.zeros(50, 3), targets)["error"] == pytest.approx(1.0)
    nll = -stats.norm.logpdf(targets.double().numpy()).sum(1).mean()
    assert task.metrics(torch.zeros(50, 3), targets)["nll"] == pytest.approx(nll, rel=1e-6)


def test_the_loss_of_tokens_is_the_mean_over_the_sequence():
    outputs, targets = torch.randn(4, STEPS, 7), torch.randint(7, (4, STEPS))
    by_hand = [-outputs[i].log_softmax(1)[range(STEPS), targets[i]].mean().item() for i in range(4)]
    assert get_task("tokens").losses(outputs, targets).tolist() == pytest.approx(by_hand, rel=1e-5)


def test_uniform_guesses_cost_the_logarithm_of_the_number_of_tokens():
    assert get_task("tokens").metrics(torch.zeros(2, 3, 7), torch.ones(2, 3, dtype=torch.int64))["nll"] == (
        pytest.approx(math.log(7), rel=1e-6)
    )


def test_area_under_the_curve_is_the_mann_whitney_statistic():
    generator = np.random.default_rng(0)
    labels = generator.random(200) < 0.2
    scores = np.round(generator.normal(size=200) + labels, 1)  # with ties
    statistic = stats.mannwhitneyu(scores[labels], scores[~labels]).statistic
    logits = torch.stack([torch.zeros(200), torch.from_numpy(scores).float()], dim=1)
    auc = binary_metrics(logits, torch.from_numpy(labels).long())["auc"]
    assert auc == pytest.approx(statistic / (labels.sum() * (~labels).sum()))


def test_a_class_that_is_never_found_halves_the_balanced_error():
    logits = torch.tensor([[1.0, 0.0]]).expand(100, 2)
    labels = (torch.arange(100) < 5).long()
    assert balanced_error(logits, labels) == 0.5
    assert binary_metrics(logits, labels) == {"recall": 0.0, "f1": 0.0, "auc": 0.5}


def test_class_weights_make_a_constant_prefer_no_class():
    """Where inputs tell nothing, the best constant is the class's frequency, and one half in the weighted loss."""
    labels = (torch.arange(40) < 4).long()
    part = TensorDataset(torch.ones(40, 1), labels)
    splits = Splits(part, part, part, num_classes=2, shape=(1,))
    shares = {}
    for weighted in (False, True):
        recipe = Recipe(epochs=150, batch_size=40, lr=0.05, patience=None, class_weights=weighted)
        case = Case(name="constant", model=lambda p: nn.Linear(1, 2), data=splits, recipe=recipe)
        row = trained(case)
        last = row.arrays["test_nll"][0]  # of the rare class
        shares[weighted] = math.exp(-last)
        assert row.metrics["test"]["balanced_error"] == 0.5 or weighted
    assert shares[False] == pytest.approx(0.1, abs=0.03)
    assert shares[True] > 2 * shares[False]


@pytest.mark.parametrize(
    ("name", "targets", "match"),
    [
        ("tokens", torch.zeros(NUM, dtype=torch.int64), r"labelled with torch.int64 of shape \(N, T\)"),
        ("tokens", torch.full((NUM, STEPS), 7), r"labelled in \[0, 6\]"),
        ("regression", torch.full((NUM, 2), math.nan), "finite floating-point targets"),
        ("regression", torch.zeros(NUM), r"finite floating-point targets of shape \(N, 2\)"),
    ],
)
def test_targets_that_do_not_fit_the_task_are_refused_before_training(name, targets, match):
    case = CASES[name]
    inputs = case.data.train.tensors[0]
    part = TensorDataset(inputs, targets)
    wrong = Splits(part, part, part, num_classes=case.data.num_classes, shape=case.data.shape)
    from thinout.lab.study._trial import try_case

    with pytest.raises(ValueError, match=match):
        try_case(Case(**{**vars(case), "data": wrong}), [dropout_arm(0.5)], 0)


def some_outputs(name):
    if name == "tokens":
        return torch.randn(20, STEPS, 7), torch.randint(7, (20, STEPS))
    return torch.randn(20, 2), torch.randn(20, 2) if name == "regression" else torch.arange(20) % 2


@pytest.mark.parametrize("name", TASKS)
def test_an_arm_can_be_judged_by_what_the_task_measures(name):
    torch.manual_seed(0)
    measured = get_task(name).metrics(*some_outputs(name))
    assert get_task(name).primary == tuple(one for one in PRIMARY if math.isfinite(measured.get(one, math.nan)))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("metric", ["ece", "balanced_error"])
def test_a_metric_that_the_task_lacks_is_refused_before_training(monkeypatch, name, metric):
    monkeypatch.setattr(sys.modules[__name__], "make_case", lambda: CASES[name], raising=False)
    with pytest.raises(UsageError, match=rf"`metric` must be one of nll, error, .* of {name}, got '{metric}'"):
        plan(f"{__name__}:make_case", seeds=1, metric=metric)
    monkeypatch.setattr(sys.modules[__name__], "make_case", lambda: dataclasses.replace(CASES[name], metric=metric))
    with pytest.raises(UsageError, match=rf"`metric` must be one of nll, error, .* of {name}, got '{metric}'"):
        plan(f"{__name__}:make_case", seeds=1)
    assert plan(f"{__name__}:make_case", seeds=1, metric="error").metric == "error"


def test_a_regression_whose_first_targets_are_all_zero_can_still_be_judged_by_its_error(monkeypatch):
    """The error is a share of the squared targets, so on the examples that are tried it has no value."""
    inputs, targets = torch.randn(9, FEATURES), torch.zeros(9, 2)
    targets[4:] = 1.0
    part = TensorDataset(inputs, targets)
    case = dataclasses.replace(CASES["regression"], data=Splits(part, part, part, num_classes=2, shape=(FEATURES,)))
    monkeypatch.setattr(sys.modules[__name__], "make_case", lambda: case, raising=False)
    assert plan(f"{__name__}:make_case", seeds=1, metric="error").metric == "error"


def test_the_tasks_are_named():
    assert sorted(TASKS) == ["classification", "regression", "tokens"]
    with pytest.raises(ValueError, match="`task` must be one of"):
        get_task("ranking")
    assert plan  # the public door to try_case
