"""From a matplotlib figure to an SVG that lives inside a page: its colours are the page's, its text is text.

Figures are drawn with colours that stand for CSS variables (`INK`, `MUTED`, ..., `arm_colour`). After drawing they are
replaced by `var(--ink)` and so on, so that one picture serves light, dark and print.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from thinout.lab.report._text import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, LINE, CARD, HEAT = "#00000a", "#00000b", "#00000c", "#00000d", "#00000e"
NUM_ARM_COLOURS = 7
VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", CARD: "card", HEAT: "heat"} | {
    f"#0000a{i}": f"arm-{i}" for i in range(NUM_ARM_COLOURS)
}
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
FONT_SIZE = 11.0
WIDTH = 360.0
LARGEST_SCALE = 1.35
STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": FONT_SIZE,
    "axes.linewidth": 1.0,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "DejaVu Sans",
    "font.size": FONT_SIZE,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.color": LINE,
    "ytick.labelcolor": INK,
}
SVG = "{http://www.w3.org/2000/svg}"
XLINK = "{http://www.w3.org/1999/xlink}"


def arm_colour(index: int) -> str:
    """Return the colour of the arm at a place; the baseline is 0 and grey, the treatments share the others."""
    return f"#0000a{index if index < NUM_ARM_COLOURS else 1 + (index - 1) % (NUM_ARM_COLOURS - 1)}"


def arm_marker(index: int) -> str:
    """Return the marker of the arm at a place, so that colour is never the only cue."""
    return MARKERS[index % len(MARKERS)]


def draw(key: str, alt: str, size: tuple[float, float], paint: Callable[[Figure], None]) -> str:
    """Draw one figure as inline SVG.

    Args:
        key: unique name of the figure on its page; prefixes every id in it.
        alt: alternative text: the finding, with its numbers.
        size: width and height in CSS pixels.
        paint: draws on an empty figure.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure as MatplotlibFigure

    content = io.BytesIO()
    style: Any = {**STYLE, "svg.hashsalt": key}  # the stubs want every key as a literal
    with mpl.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the reader's own fonts draw the text
        figure = MatplotlibFigure(figsize=(size[0] / 72, size[1] / 72))
        paint(figure)
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    return _inline(content.getvalue(), key, alt, size[0])


def axes(figure: Figure, *, left: float, right: float, top: float, bottom: float) -> Axes:
    """Add axes whose margins are given in CSS pixels."""
    width, height = (float(inch) * 72 for inch in figure.get_size_inches())
    return figure.add_axes((left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height))


def only_grid(ax: Axes, axis: str) -> None:
    """Leave a quiet grid across one axis and no ticks."""
    ax.grid(visible=True, axis="x" if axis == "x" else "y")
    ax.tick_params(length=0)


def _inline(content: bytes, key: str, alt: str, width: float) -> str:
    root = ElementTree.fromstring(content)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == f"{SVG}style" or "metadata" in child.tag:
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        element.attrib = {name.replace(XLINK, ""): _value(name, value, key) for name, value in element.attrib.items()}
    viewbox = root.attrib["viewBox"]
    style = f"max-width:{width * LARGEST_SCALE:.0f}px"
    root.attrib = {"class": "figure", "viewBox": viewbox, "role": "img", "aria-label": clean(alt), "style": style}
    return ElementTree.tostring(root, encoding="unicode")


def _value(name: str, value: str, key: str) -> str:
    if name == "id":
        return f"{key}-{value}"
    if value.startswith("#") and name.endswith("href"):
        return f"#{key}-{value[1:]}"
    value = re.sub(r"url\(#", f"url(#{key}-", value)
    value = re.sub(r"#0000(?:0|a)[0-9a-f]\b", lambda match: f"var(--{VARIABLES[match[0]]})", value)
    if name == "style":
        value = re.sub(r"font(-family)?:([^;]*?)'DejaVu Sans'[^;]*", r"font\1:\2var(--font)", value)
    return value
