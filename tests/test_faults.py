"""The suite catches what it is there for: each fault is put in on purpose, and a check must fail.

The checks named here run in the suite without a fault too, and pass.
"""

import pytest
import test_ops
import torch
from torch.autograd.gradcheck import GradcheckError

from thinout import ops
from thinout.nn import REGISTRY
from thinout.ops import _apply, _backends
from thinout.testing import CHECKS

RUN, KEEP_MASK, BACKWARD = _backends.run, _backends.keep_mask, _apply.Eager.backward


def check(name):
    return lambda: CHECKS[name](REGISTRY["Dropout"])


def rate_one_percent_too_high(monkeypatch):
    def faulty(mask):
        return mask._replace(threshold=round(mask.threshold * 1.01))

    monkeypatch.setattr(
        _backends, "keep_mask", lambda shape, key, mask, *rest: KEEP_MASK(shape, key, faulty(mask), *rest)
    )
    monkeypatch.setattr(_backends, "run", lambda x, key, mask, **how: RUN(x, key, faulty(mask), **how))


def lanes_duplicated(monkeypatch):
    """Each draw serves four neighbours, as compiled CUDA dropout of two torch releases did for some layouts."""

    def faulty(shape, key, mask, *rest):
        return KEEP_MASK(shape, key, mask, *rest).flatten()[::4].repeat_interleave(4).reshape(shape)

    monkeypatch.setattr(_backends, "keep_mask", faulty)


def scale_wrong_by_a_thousandth(monkeypatch):
    def faulty(x, key, mask, *, out=None, backend=None):
        y = RUN(x, key, mask, out=out, backend=backend)
        return y if backend == "reference" else y.mul_(1.001)

    monkeypatch.setattr(_backends, "run", faulty)


def backward_with_another_mask(monkeypatch):
    def faulty(ctx, grad):
        key, mask, *_ = ctx.call
        return _apply.apply(grad, key + 1, mask), None, None, None, None

    monkeypatch.setattr(_apply.Eager, "backward", staticmethod(faulty))


def sites_merged(monkeypatch):
    monkeypatch.setattr(ops, "draw_key", lambda generator=None: torch.tensor(7))


def mask_drawn_from_the_batch_split(monkeypatch):
    """The mask depends on how much is drawn at once, as a sequential generator's does."""

    def faulty(shape, key, mask, *rest):
        return KEEP_MASK(shape, key, mask._replace(offset=mask.offset + shape[0]), *rest)

    monkeypatch.setattr(_backends, "keep_mask", faulty)


@pytest.mark.parametrize(
    ("fault", "catcher"),
    [
        (rate_one_percent_too_high, lambda: test_ops.test_the_rate_is_the_effective_p(0.1)),
        (rate_one_percent_too_high, lambda: test_ops.test_the_rate_is_the_effective_p(0.5)),
        (lanes_duplicated, lambda: test_ops.test_neighbours_are_independent(1)),
        (lanes_duplicated, lambda: test_ops.test_neighbours_are_independent(2)),
        (lanes_duplicated, test_ops.test_eight_lanes_of_a_block_are_jointly_uniform),
        (
            scale_wrong_by_a_thousandth,
            lambda: test_ops.test_values_are_scaled_in_float32_and_rounded_once(torch.float32),
        ),
        (scale_wrong_by_a_thousandth, check("reference")),
        (backward_with_another_mask, check("gradient")),
        (backward_with_another_mask, check("functional_gradient")),
        (sites_merged, check("compile")),
        (sites_merged, check("reproducible")),
        (mask_drawn_from_the_batch_split, test_ops.test_shards_are_parts_of_the_whole_mask),
    ],
    ids=lambda value: value.__name__ if value.__name__ != "<lambda>" else "",
)
def test_a_fault_is_caught(monkeypatch, fault, catcher):
    fault(monkeypatch)
    with pytest.raises((AssertionError, GradcheckError)):
        catcher()
