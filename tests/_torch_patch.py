"""What the tests of patch_torch share."""

from __future__ import annotations

import os
import subprocess
import sys

import torch

from thinout import ops

NAMES = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")


def expected(x: torch.Tensor, p: float, seed: int) -> torch.Tensor:
    """Return what the mask contract says that a patched dropout gives right after `torch.manual_seed(seed)`."""
    torch.manual_seed(seed)
    return ops.dropout(x, ops.draw_key(), p, wide=min(p, 1 - p) < 2**-8)


def run_python(code: str, **environment: str) -> str:
    """Run a program in a fresh interpreter, fail if it does, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, env={**os.environ, **environment}
    )
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
