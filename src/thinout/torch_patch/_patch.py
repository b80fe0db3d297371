"""The public face of the patch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

from thinout.torch_patch import _compiled, _dispatcher
from thinout.torch_patch._switch import switch


@dataclass(frozen=True)
class PatchReport:
    """What the patch is doing; true where it is on.

    Attributes:
        depth: how many patches are open.
        served: calls that thinout served since the first of them, by function: "dropout", "dropout_",
            "feature_dropout", "alpha_dropout" ...
        handed_over: calls that reached us and were handed to PyTorch, by reason.
    """

    depth: int
    served: Mapping[str, int]
    handed_over: Mapping[str, int]

    @property
    def active(self) -> bool:
        """Whether a patch is open."""
        return self.depth > 0

    def __bool__(self) -> bool:
        return self.active


class TorchPatch:
    """An open patch: close it, or use it in a `with` statement."""

    def __init__(self) -> None:
        self._open = True
        with switch.lock:
            _dispatcher.register()
            switch.enter()
            _compiled.install()

    def close(self) -> None:
        """End this patch; the last one that ends brings PyTorch's dropout back. Closing twice does nothing."""
        with switch.lock:
            if self._open:
                self._open = False
                switch.leave()
                if not switch.active:
                    _compiled.remove()

    def __enter__(self) -> TorchPatch:
        return self

    def __exit__(
        self, error: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def patch_torch() -> TorchPatch:
    r"""Put thinout's CPU kernel under PyTorch's own dropout, for the whole process, with no change to a model.

    .. math:: y_i = m_i x_i / (1 - p), \quad m_i \sim \text{Bernoulli}(1 - p)

    as before, several times to tens of times faster, and without a mask kept for the backward pass. Reached are
    `torch.nn.functional.dropout`, `nn.Dropout`, `nn.LSTM(dropout=)`, `nn.MultiheadAttention`,
    `nn.TransformerEncoderLayer`, attention's `dropout_p`, feature and alpha dropout and the in-place forms, in eager
    code; in compiled code `torch.nn.functional.dropout`. Calls that it cannot serve or that are too small to gain go to
    PyTorch; `torch_patched` counts them. `torch.manual_seed` governs the masks, which are others than PyTorch's.

    Returns:
        The open patch: it is on from the call until its `close()`, or until the end of the `with` statement that takes
        it. Patches nest, and count for all threads.

    Example:
        >>> import torch
        >>> x = torch.ones(10_000)
        >>> with patch_torch():
        ...     y = torch.nn.functional.dropout(x, 0.5)
        ...     dict(torch_patched().served)
        {'dropout': 1}
        >>> bool(torch_patched())
        False
    """
    return TorchPatch()


def torch_patched() -> PatchReport:
    """Return whether `patch_torch` is on, and what it served and handed to PyTorch since it was.

    Returns:
        A report, true where the patch is on; the counts of the last patch stay readable after its end.

    Example:
        >>> torch_patched().active
        False
    """
    with switch.lock:
        return PatchReport(switch.depth, dict(switch.served), switch.handed())
