"""Draw the pictures of the documentation of layers: docs/assets/layers/*.svg.

python scripts/make_pictures.py
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import matplotlib

HERE = Path(__file__).parent
ASSETS = HERE.parent / "docs" / "assets" / "layers"
# Text stays text, in the reader's font; the salt keeps the file the same from run to run.
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "thinout", "font.family": "sans-serif"}


def families() -> list[str]:
    return sorted(file.stem for file in (HERE / "pictures").glob("[!_]*.py"))


def make(folder: Path) -> list[Path]:
    """Draw every picture into a folder and return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    with matplotlib.rc_context(STYLE):
        for family in families():
            for name, figure in importlib.import_module(f"pictures.{family}").draw().items():
                files.append(folder / f"{name}.svg")
                figure.savefig(files[-1], metadata={"Date": None, "Creator": None}, transparent=True)
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=ASSETS)
    for file in make(parser.parse_args().folder):
        print(file)


if __name__ == "__main__":
    main()
