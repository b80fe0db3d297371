"""Formulas of the documentation, drawn as paths when the site is built: a page then needs no script and no font.

A fence ```math and an inline `#!math x^2` become SVG by matplotlib's own TeX parser. In docstrings the directive
`.. math::` and the role `:math:` are turned into these two first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any

from griffe import Docstring, Extension
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from mkdocs.plugins import event_priority
from pymdownx.inlinehilite import InlineHiliteException
from pymdownx.superfences import SuperFencesException

_EM = 100  # units of the picture in one em
_FONT = FontProperties(family="serif", math_fontfamily="stix")
_OPERATIONS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C", Path.CLOSEPOLY: "Z"}
_SPELLINGS = (  # TeX that matplotlib spells otherwise
    (r"\\[lr]vert\b", "|"),
    (r"\\[lr]Vert\b", r"\\|"),
    (r"\\sqrt (\w)", r"\\sqrt{\1}"),
    (r"\\le\b", r"\\leq"),
    (r"\\ge\b", r"\\geq"),
)


def picture(tex: str) -> str:
    """Return a formula as an SVG that has the size and the colour of the text around it."""
    spelled = tex
    for pattern, replacement in _SPELLINGS:
        spelled = re.sub(pattern, replacement, spelled)
    outline = TextPath((0, 0), f"${spelled}$", size=_EM, prop=_FONT)
    box = outline.get_extents()
    left, top, width, height = box.x0, -box.y1, box.width, box.height
    return (
        f'<svg class="formula" role="img" aria-label="{escape(tex)}" xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="{left:.0f} {top:.0f} {width:.0f} {height:.0f}" '
        f'style="width:{width / _EM:.2f}em;height:{height / _EM:.2f}em;vertical-align:{box.y0 / _EM:.2f}em">'
        f'<path d="{" ".join(_steps(outline))}"/></svg>'
    )


def _steps(outline: TextPath) -> Iterator[str]:
    for points, operation in outline.iter_segments(curves=True, simplify=False):
        numbers = [] if operation == Path.CLOSEPOLY else points.reshape(-1, 2) * (1, -1)  # SVG counts downwards
        yield _OPERATIONS[operation] + " ".join(f"{x:.1f},{y:.1f}" for x, y in numbers)


def fence(source: str, *_: Any, **__: Any) -> str:
    """Draw a fence ```math, a formula a line."""
    lines = [line.strip().replace(r"\frac", r"\dfrac") for line in source.splitlines()]
    try:
        return "".join(f'<p class="formulas">{picture(line)}</p>' for line in lines if line)
    except ValueError as error:
        raise SuperFencesException(str(error)) from error  # any other exception would show the source in silence


def inline(source: str, *_: Any, **__: Any) -> str:
    """Draw an inline formula."""
    try:
        return picture(source)
    except ValueError as error:
        raise InlineHiliteException(str(error)) from error


@event_priority(100)  # before mkdocstrings copies the settings of Markdown
def on_config(config: Any) -> None:
    """Tell Markdown of the fence and of the inline form."""
    settings = config["mdx_configs"]
    settings.setdefault("pymdownx.superfences", {})["custom_fences"] = [
        {"name": "math", "class": "math", "format": fence}
    ]
    settings.setdefault("pymdownx.inlinehilite", {})["custom_inline"] = [
        {"name": "math", "class": "math", "format": inline}
    ]


class Docstrings(Extension):
    """Turns docstrings into what Griffe and Markdown know, while Griffe reads the sources."""

    def on_instance(self, *, obj: Any, **_: Any) -> None:
        """Rewrite one docstring."""
        if isinstance(obj.docstring, Docstring):
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(docstring: str) -> str:
    """Return a docstring with its formulas as Markdown, and its example under the title that Griffe looks for."""
    text = re.sub(r"^Example:$", "Examples:", docstring, flags=re.MULTILINE)
    text = re.sub(r"^( *)\.\. math:: (.+)$", r"\1```math\n\1\2\n\1```", text, flags=re.MULTILINE)
    return re.sub(r":math:`([^`]+)`", r"`#!math \1`", text)
