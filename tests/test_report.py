"""The report: what the page and the two files say, for good rows and for poor ones."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _report_page import Page
from _report_rows import ARMS, CLASS_NAMES, failed_row, make_rows

from thinout.lab.analysis import analyse
from thinout.lab.report import figures, write_report
from thinout.lab.rows import Row

STUDY = {
    "case": "lenet5-1998",
    "data": "fashion-mnist-small",
    "class_names": CLASS_NAMES,
    "command": ["thinout", "study", "lenet5-1998", "--out", "my runs"],
}
FIGURES = {"forest", "rates", "gap", "sparsity", "confusion", "filters-0", "filters-1"} | {
    f"curves-{i}" for i in range(len(ARMS))
}


def _write(folder: Path, rows: Sequence[Row], study: Mapping[str, Any] | None = None) -> Page:
    return Page(write_report(folder, analyse(rows), rows, study).html.read_text())


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return make_rows(num_seeds=5)


@pytest.fixture(scope="module")
def folder(rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(folder, analyse(rows), rows, STUDY)
    return folder


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "report.html").read_text())


def _fixed_rows(nll: Mapping[str, Sequence[float]]) -> list[Row]:
    """Rows with nothing but the metrics: test NLL as given by seed, everything else the same."""
    return [
        Row(
            arm=arm, p=float(arm != "none") / 2, seed=seed, status="done", best_epoch=1, num_epochs=10,
            metrics={part: {"nll": value, "error": 0.1, "ece": 0.02} for part in ("train", "validation", "test")},
        )
        for arm, values in nll.items()
        for seed, value in enumerate(values)
    ]  # fmt: skip


def test_the_verdict_is_the_first_thing_said(page: Page, rows: list[Row]) -> None:
    headings = [element for element in page.elements if re.fullmatch("h[1-6]", element.tag)]
    assert headings[0].tag == "h1"
    assert headings[0].text == analyse(rows).headline.sentence
    assert [heading.tag for heading in headings].count("h1") == 1


def test_numbers_are_those_of_the_closed_form(tmp_path: Path) -> None:
    """Differences -0.01 .. -0.05: mean -0.03, sd 0.015811, t(4; 0.975) = 2.7764, half width 0.019632."""
    page = _write(tmp_path, _fixed_rows({"none": [0.5] * 5, "p=0.5": [0.49, 0.48, 0.47, 0.46, 0.45]}))
    assert "p=0.5 −0.030 [−0.050, −0.010] (helps)" in page.figures()["forest"].replace("\N{NO-BREAK SPACE}", " ")
    values = [element.text for element in page.all("dd") if element.attributes.get("class") == "value"]
    assert values[:2] == ["5 pairs", "−0.030 nats"]
    cells = [element.text for element in page.all("td")]
    assert "0.470 [0.450, 0.490] vs. none: −0.030 [−0.050, −0.010]" in cells


@pytest.mark.parametrize(
    ("kept", "sentence"),
    [
        ([None, "best"], "Every network is measured at its best validation epoch."),
        (["last"], "Every network is measured after its last epoch."),
        (["best", "last"], "or after its last one where its recipe keeps that."),
    ],
)
def test_the_page_says_at_which_epoch_networks_are_measured(
    tmp_path: Path, kept: list[str | None], sentence: str
) -> None:
    recipes = [{} if keep is None else {"keep": keep} for keep in kept]  # None: a row of old
    rows = [
        dataclasses.replace(row, config={"recipe": recipes[row.seed % len(kept)]})
        for row in _fixed_rows({"none": [0.5] * 5, "p=0.5": [0.4] * 5})
    ]
    _write(tmp_path, rows)
    assert sentence in " ".join((tmp_path / "report.html").read_text().split())


def test_every_figure_has_an_alternative_text_with_numbers(page: Page) -> None:
    texts = page.figures()
    assert set(texts) == FIGURES
    for svg in page.all("svg"):
        assert svg.attributes["role"] == "img"
    for text in texts.values():
        assert re.search(r"\d\.?\d", text), text


def test_figures_keep_text_as_text(page: Page) -> None:
    texts = {element.text for element in page.all("text")}
    assert {"p=0.333", "conv1", "Ankle boot", "drop probability p"} <= texts


def test_nothing_is_loaded_from_elsewhere(folder: Path, page: Page) -> None:
    for element in page.elements:
        assert element.tag not in {"script", "iframe", "object", "img"}
        for name in ("src", "href", "srcset"):
            assert re.match(r"#|data:", element.attributes.get(name, "#")), element
    source = (folder / "report.html").read_text()
    assert "http" not in source
    assert "@import" not in source
    assert set(re.findall(r"url\((.)", source)) == {"#"}


def test_ids_are_unique_and_references_resolve(folder: Path, page: Page) -> None:
    ids = [element.attributes["id"] for element in page.elements if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    source = (folder / "report.html").read_text()
    wanted = set(re.findall(r"url\(#([^)]+)\)", source)) | set(re.findall(r'href="#([^"]+)"', source))
    wanted |= {element.attributes["aria-labelledby"] for element in page.all("section")}
    assert wanted <= set(ids)


def test_colours_are_all_the_pages_own(folder: Path) -> None:
    source = (folder / "report.html").read_text()
    body = source[source.index("<body>") :]
    assert not re.findall(r"(?:fill|stroke|color):\s*(?:#|rgb)", body)
    defined = set(re.findall(r"(--[a-z0-9-]+):", source))
    assert set(re.findall(r"var\((--[a-z0-9-]+)\)", source)) <= defined


def test_the_same_rows_give_the_same_bytes(folder: Path, rows: list[Row], tmp_path: Path) -> None:
    paths = write_report(tmp_path, analyse(rows), rows, STUDY)
    for path in dataclasses.astuple(paths):
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_names_from_outside_are_text_and_nothing_else(tmp_path: Path) -> None:
    name = '<script>alert("x")</script>$\\frac{1$&amp;\x00日本'
    rows = make_rows(arms={"none": 0.0, name: 0.5}, num_seeds=2)
    rows.append(failed_row(name, reason="<img src=x onerror=y>"))
    study = {"case": "</title><script>", "data": "<b>", "class_names": ["<script>"] * 10, "command": "a && <script>"}
    page = _write(tmp_path, rows, study)
    shown = name.replace("\x00", "\ufffd")
    assert {"script", "img", "b"}.isdisjoint(element.tag for element in page.elements)
    assert any(element.text == shown for element in page.all("th"))
    assert shown in page.figures()["forest"]
    assert any(element.text == "<img src=x onerror=y>" for element in page.all("span"))
    assert page.all("code")[0].text == "a && <script>"


def test_the_command_can_be_pasted_into_a_shell(page: Page) -> None:
    assert page.all("code")[0].text == "thinout study lenet5-1998 --out 'my runs'"


def test_statistical_statements_are_on_the_page(page: Page) -> None:
    text = page.all("main")[0].text
    for statement in (
        "Intervals cover seeds, not new data",
        "chosen on validation",
        "corrected for their number by Holm’s method, on test NLL alone",
        "Only test NLL has verdicts",
    ):
        assert statement in text


def test_csv_has_one_line_a_run(folder: Path, rows: list[Row]) -> None:
    with (folder / "results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["arm"], int(line["seed"])) for line in lines] == [(row.arm, row.seed) for row in rows]
    for line, row in zip(lines, rows, strict=True):
        assert float(line["test_nll"]) == row.metrics["test"]["nll"]
        assert float(line["gap"]) == row.metrics["test"]["nll"] - row.metrics["train"]["nll"]
        assert line["provenance_torch"] == row.provenance["torch"]
        assert int(line["recipe_batch_size"]) == 64


def test_json_holds_analysis_and_rows_without_arrays(folder: Path, rows: list[Row]) -> None:
    content = json.loads((folder / "results.json").read_text())
    analysis = analyse(rows)
    assert content["analysis"]["headline"]["sentence"] == analysis.headline.sentence
    assert content["study"]["case"] == "lenet5-1998"
    assert len(content["rows"]) == len(rows)
    assert content["rows"][0]["metrics"] == rows[0].metrics
    assert "arrays" not in content["rows"][0]


def test_numbers_that_are_not_finite_are_null_in_json_and_a_dash_on_the_page(tmp_path: Path) -> None:
    rows = make_rows(num_seeds=2)
    for row in rows:
        row.metrics["test"]["ece"] = math.nan
    page = _write(tmp_path, rows)
    content = json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    assert content["rows"][0]["metrics"]["test"]["ece"] is None
    assert [element.text for element in page.all("td")].count("– not measured") == len(ARMS)


def test_a_changed_checkout_is_not_hidden(page: Page) -> None:
    assert any(element.text == "revision 0123abcdef+" for element in page.all("span"))


def test_failed_runs_are_listed_and_in_no_number(rows: list[Row], page: Page, tmp_path: Path) -> None:
    more = _write(tmp_path, [*rows, failed_row("p=0.5", 99)], STUDY)
    assert more.figures() == page.figures()
    warnings = [element.text for element in more.all("ul") if element.attributes.get("class") == "warnings"]
    assert "p=0.5, seed 99: the loss turned NaN in epoch 3." in warnings[0]
    assert more.all("summary")[0].text == "21 runs, 1 failed"


def test_one_seed_and_one_arm_say_that_nothing_was_compared(tmp_path: Path) -> None:
    page = _write(tmp_path, make_rows(arms={"none": 0.0}, num_seeds=1))
    assert page.all("h1")[0].text == "Nothing to compare: only none has finished runs."
    missing = [element.text for element in page.all("p") if element.attributes.get("class") == "missing"]
    assert missing == [
        "Difference in test NLL to none. There is no other arm than none.",
        "Filters of the first convolution. There is no second arm to compare filters with.",
        "The command was not recorded.",
    ]


def test_rows_with_metrics_alone_say_what_is_missing(tmp_path: Path) -> None:
    page = _write(tmp_path, _fixed_rows({"none": [0.5, 0.6], "p=0.5": [0.4, 0.5]}))
    assert set(page.figures()) == {"forest", "rates", "gap"}
    missing = [element.text for element in page.all("p") if element.attributes.get("class") == "missing"]
    assert missing == [
        "Activation sparsity, layer by layer. No run recorded its activations.",
        "No run recorded its epochs.",
        "Confusion matrix of p=0.5. No run of this arm recorded its predictions.",
        "Filters of the first convolution. No pair of runs recorded filters: the network may have no convolution.",
        "The command was not recorded.",
        "No run recorded versions or hardware.",
    ]


def test_too_few_seeds_is_said_for_every_arm(tmp_path: Path) -> None:
    page = _write(tmp_path, make_rows(num_seeds=3))
    assert page.figures()["forest"].count("(too few seeds)") == 3
    assert any(element.text == "Verdict: too few seeds" for element in page.all("p"))


def test_43_classes_keep_every_count_readable(tmp_path: Path) -> None:
    rows = make_rows(arms={"none": 0.0, "p=0.5": 0.5}, num_seeds=1, num_classes=43, num_test=860, has_filters=False)
    page = _write(tmp_path, rows)
    best = analyse(rows).headline.arm
    arrays = next(row.arrays for row in rows if row.arm == best)
    right = int((arrays["test_label"] == arrays["test_prediction"]).sum())
    assert f"over 43 classes: {right} of 860 predictions are right" in page.figures()["confusion"]
    widths = [re.fullmatch(r"min-width:(\d+)px", element.attributes.get("style", "")) for element in page.all("div")]
    assert [int(width[1]) > 43 * 20 for width in widths if width] == [True]


def test_the_confusion_matrix_shows_the_counts() -> None:
    counts = np.array([[50, 3, 0], [7, 40, 1], [0, 0, 60]])
    page = Page(figures.confusion_matrix("matrix", counts, ["cat", "dog", "cow"], arm="none"))
    texts = [element.text for element in page.all("text")]
    assert sorted(int(text) for text in texts if text.isdigit()) == [1, 3, 7, 40, 50, 60]
    assert "150 of 161 predictions are right" in page.figures()["matrix"]
    assert "dog taken for cat 7 times; cat taken for dog 3 times" in page.figures()["matrix"]
    assert figures.confusions(counts, ["cat", "dog", "cow"], most=1) == [("dog", "cat", 7, 7 / 48)]


def test_bands_end_where_a_seed_stopped(tmp_path: Path) -> None:
    rows = _fixed_rows({"none": [0.5, 0.5], "p=0.5": [0.4, 0.4]})
    for row in rows:
        losses = [0.9, 0.6, 0.7, 0.8][: 3 + row.seed]
        row.history.extend({"epoch": i + 1, "train_nll": 0.5, "validation_nll": x} for i, x in enumerate(losses))
    text = _write(tmp_path, rows).figures()["curves-1"]
    assert "lowest at epoch 2 with 0.600 nats (training NLL there 0.500)" in text
    assert "ends at 0.700 in epoch 3, the last that every seed trained" in text


def test_an_arm_that_differs_in_more_than_p_stands_aside(tmp_path: Path) -> None:
    rows = make_rows(arms={"none": 0.0, "weight-decay": 0.0, "p=0.5": 0.5}, num_seeds=2)
    text = _write(tmp_path, rows).figures()["rates"]
    assert re.findall(r"(p = [\d.]+|weight-decay): \d", text) == ["p = 0", "p = 0.5", "weight-decay"]


def test_importing_the_report_loads_neither_matplotlib_nor_jinja2() -> None:
    code = "import sys, thinout.lab.report; print({'matplotlib', 'jinja2', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "set()"
