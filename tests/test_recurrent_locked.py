"""Locked dropout: one mask for all steps of a sequence, padded or packed."""

import pytest
import torch
from _recurrent import LENGTHS, is_rate, normal, valid
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence, pad_packed_sequence

import thinout.nn as tnn
from thinout import functional as F
from thinout import ops


def is_locked(y):
    """Whether (L, N, C) has one pattern of zeros at all steps, and not one for all sequences."""
    zeros = y == 0
    return bool((zeros == zeros[:1]).all()) and not bool((zeros == zeros[:, :1]).all())


@pytest.mark.parametrize("batch_first", [False, True])
def test_mask_is_constant_in_time_and_differs_between_sequences(batch_first):
    x = normal(4, 5, 30).abs()
    y = tnn.LockedDropout(0.4, batch_first)(x, key=1)
    assert is_locked(y.transpose(0, 1) if batch_first else y)
    kept = y != 0
    assert torch.equal(y[kept], (x * (1 / (1 - ops.effective_p(0.4))))[kept])


def test_the_mask_of_another_axis_is_told_apart():
    x = normal(4, 5, 30)
    assert not is_locked(x * (torch.rand(4, 1, 30) < 0.6))  # the mask of time first on a batch-first input
    assert not is_locked(nn.functional.dropout(x, 0.4))


def test_locked_rate():
    dropped = F.locked_dropout(torch.ones(1, 2000, 1000), 0.3, training=True, key=11) == 0
    assert is_rate(dropped, ops.effective_p(0.3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_packed_equals_padded_bit_for_bit(dtype, is_sorted):
    lengths = sorted(LENGTHS, reverse=True) if is_sorted else LENGTHS
    x = normal(5, 4, 6, dtype=dtype)
    layer = tnn.LockedDropout(0.3)
    packed = layer(pack_padded_sequence(x, lengths, enforce_sorted=is_sorted), key=3)
    expected = layer(x, key=3)
    assert torch.equal(valid(pad_packed_sequence(packed)[0], lengths), valid(expected, lengths))
    assert torch.equal(tnn.LockedDropout(0.3, batch_first=True)(x.transpose(0, 1), key=3).transpose(0, 1), expected)


def test_dropout_of_packed_rows_is_not_locked():
    packed = pack_padded_sequence(torch.ones(5, 4, 20), LENGTHS, enforce_sorted=False)
    wrong = packed._replace(data=tnn.Dropout(0.4)(packed.data, key=1))
    right = tnn.LockedDropout(0.4)(packed, key=1)
    masks = [pad_packed_sequence(each)[0][:5, 1] == 0 for each in (wrong, right)]
    assert [bool((mask == mask[0]).all()) for mask in masks] == [False, True]


def test_packed_gradient_is_the_padded_one():
    x = normal(5, 4, 6).requires_grad_()
    packed = tnn.LockedDropout(0.3)(pack_padded_sequence(x, LENGTHS, enforce_sorted=False), key=3)
    (got,) = torch.autograd.grad(packed.data.square().sum(), x)
    (expected,) = torch.autograd.grad(valid(tnn.LockedDropout(0.3)(x, key=3)).square().sum(), x)
    assert torch.equal(got, expected)


def test_packed_edges():
    packed = pack_sequence([normal(3, 4), normal(2, 4)])
    assert tnn.LockedDropout(0.5).eval()(packed) is packed
    assert tnn.LockedDropout(0.0)(packed) is packed
    data = packed.data.clone()
    data[0] = torch.inf
    x = data.requires_grad_()
    y = tnn.LockedDropout(1.0)(packed._replace(data=x)).data
    assert torch.equal(y, torch.zeros_like(y))
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], torch.zeros_like(y))
    written = tnn.LockedDropout(0.5, inplace=True)(packed, key=1)
    assert written.data is packed.data
    with pytest.raises(TypeError, match=r"`input\.data` must be a floating-point tensor"):
        tnn.LockedDropout()(packed._replace(data=packed.data.long()))


@pytest.mark.parametrize(
    "layer", [tnn.Dropout(), tnn.ClassicDropout(), tnn.Dropout1d(), tnn.Dropout2d(), tnn.Dropout3d()]
)
def test_other_layers_refuse_packed_sequences(layer):
    with pytest.raises(TypeError, match="`input` must be a floating-point tensor, got 'PackedSequence'"):
        layer(pack_sequence([normal(3, 4), normal(2, 4)]))


def test_unbatched_sequence():
    y = tnn.LockedDropout(0.4, batched=False)(torch.ones(6, 40), key=1)
    assert torch.equal(y, y[:1].expand(6, 40))
    assert is_rate(y[0] == 0, 0.4)
