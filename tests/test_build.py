"""The build: with a compiler a wheel for the platform, without one a pure wheel that works; an error never hides."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of what is needed to build, so that nothing is written into the checkout."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("src", "csrc"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    for name in ("pyproject.toml", "CMakeLists.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def build(sources, out, **environment):
    without = {name: value for name, value in os.environ.items() if name != "THINOUT_REQUIRE_KERNEL"}
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", out, sources]
    return subprocess.run(command, env=without | environment, capture_output=True, text=True, timeout=280)


def test_without_a_compiler_the_install_is_pure_python_works_and_says_so_once(sources, tmp_path):
    done = build(sources, tmp_path, CXX="/nowhere/c++", CC="/nowhere/cc")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "installed")
    assert not [name for name in names if name.endswith(".so")]
    for needed in ("thinout/py.typed", "thinout/lab/data/bundled/fashion-mnist-small.npz"):
        assert needed in names
    assert any(name.endswith("report.html.j2") for name in names)
    assert any(name.endswith("LICENSE-fashion-mnist.txt") for name in names)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'installed')!r})\n"
        "import torch, thinout\n"
        "assert 'installed' in thinout.__file__, thinout.__file__\n"
        "for _ in range(2): y = thinout.functional.dropout(torch.ones(8), 0.5, training=True, key=1)\n"
        "print(y.tolist()); print(thinout.backends()['cpu'])"
    )
    # -S leaves out the editable install's hooks; torch is found through the path.
    site = str(Path(shutil.__file__).parent / "site-packages")
    packages = [entry for entry in sys.path if entry.endswith("site-packages")] or [site]
    shown = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path += {packages!r}\n" + code],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert shown.returncode == 0, shown.stderr
    values, state = shown.stdout.splitlines()
    assert values == "[2.0, 0.0, 2.0, 0.0, 2.0, 0.0, 0.0, 0.0]"
    assert state.startswith("not in use: The kernel library _thinout_kernel.so was not built")
    assert shown.stderr.count("Plain torch stands in") == 1


def test_where_the_kernel_is_required_a_missing_compiler_is_an_error(sources, tmp_path):
    done = build(sources, tmp_path, CXX="/nowhere/c++", CC="/nowhere/cc", THINOUT_REQUIRE_KERNEL="true")
    assert done.returncode != 0
    assert not list(tmp_path.glob("*.whl"))
