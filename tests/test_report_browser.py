"""The report in a real browser: it opens quietly, shows everything, fits a phone, and can be read in the dark."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from _report_rows import ARMS, CLASS_NAMES, failed_row, make_rows
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from thinout.lab.analysis import analyse
from thinout.lab.report import write_report

pytestmark = pytest.mark.browser

ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
LEAST_CONTRAST = 4.5  # WCAG 2.2, criterion 1.4.3, for body text
LEAST_GRAPHIC_CONTRAST = 3.0  # criterion 1.4.11, for what a picture needs to be understood

TEXTS = """
const background = element => {
  for (let e = element; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$|transparent/.test(colour)) return colour;
  }
  return 'rgb(255, 255, 255)';
};
const own = e => [...e.childNodes].some(node => node.nodeType === 3 && node.data.trim());
return [...document.querySelectorAll('main *')].filter(own).map(e =>
  [e.textContent.trim().slice(0, 40), e.closest('svg') ? getComputedStyle(e).fill : getComputedStyle(e).color,
   background(e)]);
"""
FIGURES = """
return [...document.querySelectorAll('svg')].map(svg => {
  const box = svg.getBoundingClientRect();
  return [svg.getAttribute('aria-label') || '', box.width, box.height, svg.querySelectorAll('path, image').length];
});
"""
FONT_SIZES = """
return [...document.querySelectorAll('svg text')].map(text => {
  const svg = text.closest('svg');
  return parseFloat(getComputedStyle(text).fontSize) * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
});
"""
COLOUR = "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0]).trim()"


def _browser() -> tuple[str, str] | None:
    programs = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    program, driver = next(filter(None, programs), None), shutil.which("chromedriver")
    return (program, driver) if program and driver else None


@pytest.fixture(scope="module")
def driver() -> Iterator[webdriver.Chrome]:
    found = _browser()
    if found is None:
        reason = "needs chromium and chromedriver on the path"
        if os.environ.get("THINOUT_REQUIRE_BROWSER") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    options = Options()
    options.binary_location = found[0]
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(found[1]))
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    rows = [*make_rows(num_seeds=5), failed_row()]
    study = {"case": "lenet5-1998", "data": "fashion-mnist-small", "class_names": CLASS_NAMES, "command": "x " * 200}
    return write_report(folder, analyse(rows), rows, study).html.as_uri()


@pytest.fixture(scope="module")
def hard_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """43 classes, long names, and nothing that a line could break at."""
    folder = tmp_path_factory.mktemp("hard")
    rows = make_rows(arms={"none": 0.0, "w" * 90: 0.5}, num_seeds=2, num_classes=43, has_filters=False)
    study = {"case": "c" * 90, "class_names": ["n" * 50] * 43, "command": "r" * 300}
    return write_report(folder, analyse(rows), rows, study).html.as_uri()


def _open(driver: webdriver.Chrome, url: str, *, width: int = 1280, scheme: str = "light") -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.get(url)


def _luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2 of `rgb(r, g, b)` or `#rrggbb`."""
    digits = re.findall(r"[0-9a-f]{2}", colour[1:]) if colour.startswith("#") else re.findall(r"\d+", colour)
    shares = [int(part, 16 if colour.startswith("#") else 10) / 255 for part in digits[:3]]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(first: str, second: str) -> float:
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_standard() -> None:
    assert _contrast("#000000", "rgb(255, 255, 255)") == pytest.approx(21.0)
    assert _contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_the_page_opens_without_a_word_on_the_console(driver: webdriver.Chrome, url: str) -> None:
    driver.get_log("browser")
    _open(driver, url)
    assert driver.get_log("browser") == []
    assert driver.execute_script("return document.compatMode") == "CSS1Compat"


def test_all_figures_are_there_and_say_what_they_show(driver: webdriver.Chrome, url: str) -> None:
    _open(driver, url)
    found = driver.execute_script(FIGURES)
    assert len(found) == 7 + len(ARMS)
    for text, width, height, num_marks in found:
        assert len(text) > 40
        assert min(width, height) > 30
        assert num_marks > 0


def test_no_request_leaves_the_file(driver: webdriver.Chrome, url: str) -> None:
    _open(driver, url)
    names = driver.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert [name for name in names if not name.startswith("data:")] == []


@pytest.mark.parametrize("page", ["url", "hard_url"])
@pytest.mark.parametrize("width", [360, 768])
def test_nothing_makes_the_page_scroll_sideways(
    driver: webdriver.Chrome, page: str, width: int, request: pytest.FixtureRequest
) -> None:
    _open(driver, request.getfixturevalue(page), width=width)
    driver.execute_script("document.querySelector('details').open = true")
    inner, scrolled = driver.execute_script("return [innerWidth, document.documentElement.scrollWidth]")
    assert inner == width
    assert scrolled <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(driver: webdriver.Chrome, url: str, scheme: str) -> None:
    _open(driver, url, scheme=scheme)
    driver.execute_script("document.querySelector('details').open = true")
    texts = driver.execute_script(TEXTS)
    assert len(texts) > 300
    poor = [text for text in texts if _contrast(text[1], text[2]) < LEAST_CONTRAST]
    assert poor == []
    is_dark = _luminance(driver.execute_script(COLOUR, "--page")) < 0.2
    assert is_dark == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_marks_and_matrix_stand_out(driver: webdriver.Chrome, url: str, scheme: str) -> None:
    _open(driver, url, scheme=scheme)
    card, ink, heat = (driver.execute_script(COLOUR, name) for name in ("--card", "--ink", "--heat"))
    assert _contrast(ink, heat) >= LEAST_CONTRAST
    for place in range(7):
        assert _contrast(driver.execute_script(COLOUR, f"--arm-{place}"), card) >= LEAST_GRAPHIC_CONTRAST


def test_print_opens_the_table_of_runs(driver: webdriver.Chrome, url: str) -> None:
    _open(driver, url, width=700, scheme="dark")
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    height = driver.execute_script("return document.querySelector('details table').getBoundingClientRect().height")
    page = driver.execute_script(COLOUR, "--page")
    assert height > 200
    assert page == "#ffffff"


def test_figures_keep_their_size_on_a_phone(driver: webdriver.Chrome, url: str) -> None:
    _open(driver, url, width=360)
    sizes = driver.execute_script(FONT_SIZES)
    assert min(sizes) >= 8
    assert Path(url.removeprefix("file://")).stat().st_size < 1_000_000
