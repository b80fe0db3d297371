"""The documentation is true: its blocks run, what they print is what is shown, and its links lead somewhere.

Of each page (README.md and docs/**/*.md but docs/results, whose commands take hours), in its order and in one empty
folder:

* a block ```python runs, with warnings as errors, in one namespace a page; in the form of `>>>` its output is compared;
* a block ```python title="NAME" is written to the file NAME instead;
* of a block ```console each line `$ thinout ...` runs in this process (a study only with `--dry-run`); the lines under
  it, if any, are its output, in which `...` stands for anything.
"""

from __future__ import annotations

import doctest
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from thinout.cli import run
from thinout.torch_patch import _switch

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```(?P<kind>\w*)(?P<options>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    kind: str
    title: str | None
    code: str


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in FENCE.finditer(text):
        title = re.search(r'title="([^"]+)"', found["options"])
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found["kind"], title and title[1], found["code"])


def run_python(block: Block, namespace: dict[str, object]) -> None:
    if ">>>" not in block.code:
        exec(compile("\n" * block.line + block.code, str(block.page), "exec"), namespace)
        return
    test = doctest.DocTestParser().get_doctest(block.code, {}, name(block.page), str(block.page), block.line)
    test.globs = namespace
    shown: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=shown.append, clear_globs=False)
    assert not shown, "".join(shown)


def run_console(block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]
    assert commands, f"{name(block.page)}:{block.line}: a console block without a line that begins with $"
    for command in commands:
        line, _, expected = command.partition("\n")
        program, *arguments = shlex.split(line)
        assert program == "thinout", f"{name(block.page)}:{block.line}: only thinout can be run here"
        assert arguments[0] != "study" or "--dry-run" in arguments, f"{line}: a page trains nothing"
        capsys.readouterr()
        assert run(arguments) == 0, capsys.readouterr().err
        got = capsys.readouterr().out
        if expected.strip():
            same = doctest.OutputChecker().check_output(expected.strip() + "\n", got.strip() + "\n", OPTIONS)
            assert same, f"{name(block.page)}:{block.line}: `{line}` prints\n{got}"


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # where workers find the modules that a page writes
    monkeypatch.delenv("THINOUT_DATA", raising=False)
    for module in ("my_case", "my_layer"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


RUNNABLE = [
    page
    for page in PAGES
    if DOCS / "results" not in page.parents and any(block.kind in ("python", "console") for block in blocks(page))
]


@pytest.mark.parametrize("page", RUNNABLE, ids=name)
def test_blocks_run_and_print_what_is_shown(page: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.title is not None:
            (workplace / block.title).write_text(block.code)
        elif block.kind == "python":
            run_python(block, namespace)
        elif block.kind == "console":
            run_console(block, capsys)


def test_the_own_case_of_the_readme_is_studied(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = next(block.code for block in blocks(ROOT / "README.md") if "def make_case" in block.code)
    assert code.count("\n") < 30
    (workplace / "my_case.py").write_text(code)
    command = next(
        line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("thinout study my_case")
    )
    words = shlex.split(command)[1:]
    words[words.index("--seeds") + 1] = "1"
    assert run([*words, "--set", "epochs=2", "--jobs", "1", "--folder", "out"]) == 0
    captured = capsys.readouterr()
    assert "Too few seeds for a verdict" in captured.out
    assert (workplace / "out" / "report.html").stat().st_size > 10_000
    assert len(list((workplace / "out" / "rows").glob("*/seed-0.json"))) == 3  # none, 0.2, 0.5


def slugs(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as Markdown makes them."""
    toc = pytest.importorskip("markdown.extensions.toc", reason="needs the extra `docs`")
    used: set[str] = set()
    prose = FENCE.sub("", page.read_text())
    for heading in re.findall(r"^#+ (.+)$", prose, re.MULTILINE):
        toc.unique(toc.slugify(re.sub(r"[`*]", "", heading), "-"), used)
    return used


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)} links to {link}"
        if anchor and target.suffix == ".md" and "api" not in target.parts:
            assert anchor in slugs(target), f"{name(page)} links to {link}: there is no such heading"


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r"^ +- (?:[^:\n]+: )?([\w./-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(page.relative_to(DOCS).as_posix() for page in PAGES[1:])


def test_the_break_even_of_the_page_is_that_of_the_patch() -> None:
    rows = re.findall(r"^\| with(?:out)? .* \| ([\d,]+) \|$", (DOCS / "patch.md").read_text(), re.MULTILINE)
    bounds = (_switch.BREAK_EVEN_WITH_GRAD, _switch.BREAK_EVEN, _switch.BREAK_EVEN_WITHOUT_LIBRARY)
    assert rows == [f"{bound:,}" for bound in bounds]
