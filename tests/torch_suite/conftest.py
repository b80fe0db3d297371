"""PyTorch's own samples are tiny: here the patch serves tensors of every size, which it otherwise leaves to PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from thinout.torch_patch import patch_torch
from thinout.torch_patch._switch import switch


@pytest.fixture(autouse=True)
def patched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(switch, "break_even", 1)
    monkeypatch.setattr(switch, "break_even_with_grad", 1)
    with patch_torch():
        yield
