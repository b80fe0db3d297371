"""What the documentation shows of the layers is what the library has: the table of exceptions, and every picture."""

import re
from pathlib import Path

import make_layer_tables
import make_learned_table
import make_pictures
import make_results
import pytest

from thinout.nn import REGISTRY

DOCS = Path(__file__).parents[1] / "docs"


def test_the_page_of_checks_is_what_its_script_writes():
    assert make_layer_tables.PAGE.read_text() == make_layer_tables.text(), "run python scripts/make_layer_tables.py"


def test_the_table_of_learned_rates_is_that_of_its_file():
    assert make_learned_table.PAGE.read_text() == make_learned_table.text(), "run python scripts/make_learned_table.py"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    return make_pictures.make(tmp_path_factory.mktemp("pictures"))


def test_the_pictures_are_what_the_library_draws(drawn):
    for file in drawn:
        kept = make_pictures.ASSETS / file.name
        assert kept.read_text() == file.read_text(), f"{file.name} is not the picture: run scripts/make_pictures.py"
    assert {file.name for file in drawn} == {file.name for file in make_pictures.ASSETS.glob("*.svg")}


def test_every_picture_is_on_a_page(drawn):
    pages = "".join(page.read_text() for page in DOCS.rglob("*.md"))
    for file in drawn:
        assert f"assets/layers/{file.name})" in pages, f"{file.name} is shown on no page"


def test_every_layer_is_on_a_page_and_in_the_table():
    pages = "".join(page.read_text() for page in (DOCS / "layers").glob("*.md") if page.name != "checks.md")
    table = (DOCS / "layers.md").read_text()
    for name in REGISTRY:
        # A family of ranks is described once, as `Dropout1d/2d/3d`.
        described = re.search(rf"`{name}\b", pages) or re.search(rf"`{name[:-2]}\dd(/\dd)*/{name[-2:]}\b", pages)
        assert described, f"{name} is described on no page of docs/layers"
        assert re.search(rf"`{name}\b", table), f"{name} is missing in the table of docs/layers.md"


def test_results_on_pages_are_those_of_their_files():
    stale = [page.name for page, text in make_results.pages().items() if page.read_text() != text]
    assert not stale, "run python scripts/make_results.py"
