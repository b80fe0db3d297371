"""Where and with what a row was computed."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import thinout


def provenance(started: datetime) -> dict[str, Any]:
    """Return versions, hardware, threads, git revision and times (UTC, ISO 8601) of a run that ends now."""
    return {
        "thinout": thinout.__version__,
        "torch": torch.__version__,
        "accelerate": version("accelerate"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "num_processes": _num_processes(),
        "revision": _revision(),
        "started": started.isoformat(timespec="seconds"),
        "ended": now().isoformat(timespec="seconds"),
    }


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


def _num_processes() -> int:
    is_launched = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if is_launched else 1


@cache
def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


@cache
def _revision() -> str | None:
    """Return thinout's commit, with ``+`` after it if the files differ; None outside of a checkout."""
    # A package installed inside of somebody's repository (.venv) is not of that repository: hence ls-files.
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--", ".")
    return None if commit is None else commit + ("+" if changes else "")


def _git(*arguments: str) -> str | None:
    folder = Path(thinout.__file__).parent
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
