"""Write docs/layers/checks.md: which check does not hold for which layer, and why, from the registry itself.

python scripts/make_layer_tables.py
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from thinout.nn import REGISTRY
from thinout.testing import CHECKS

PAGE = Path(__file__).parents[1] / "docs" / "layers" / "checks.md"
HEAD = """# What every layer is checked for

One table of checks runs over every layer of `thinout.nn`, and over your own by
[`thinout.testing.check_layer`](../api/testing.md). A check that cannot hold for a layer is left out by name, with its
reason. This page is written by `python scripts/make_layer_tables.py` from the registry that the tests use.
"""


def first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0].replace("|", r"\|")


def lines() -> Iterator[str]:
    """Yield the lines of the page."""
    yield HEAD
    yield f"## The {len(CHECKS)} checks\n"
    yield "| check | what must hold |\n|---|---|"
    for name, check in CHECKS.items():
        yield f"| `{name}` | {first_line(check.__doc__)} |"
    yield "\nBeside these, two processes of `DistributedDataParallel` train every layer (`ddp`).\n"
    excepted = {name: spec for name, spec in sorted(REGISTRY.items()) if spec.exceptions}
    yield f"## Exceptions\n\nOf {len(REGISTRY)} layers, {len(REGISTRY) - len(excepted)} have none.\n"
    yield "| layer | check | why it does not hold |\n|---|---|---|"
    for name, spec in excepted.items():
        for check, reason in sorted(spec.exceptions.items()):
            yield f"| `{name}` | `{check}` | {reason[0].upper()}{reason[1:].rstrip('.')}. |"


def text() -> str:
    """Return the page."""
    return "\n".join(lines()) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.parse_args().page.write_text(text())


if __name__ == "__main__":
    main()
