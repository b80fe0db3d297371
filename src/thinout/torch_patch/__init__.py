"""patch_torch(): thinout's CPU kernel under PyTorch's own dropout.

Which calls it serves:

* eager code on CPU tensors of float32, float64, bfloat16 and float16: `torch.nn.functional.dropout` and all that ends
  there (`nn.Dropout`, the recurrent nets, `nn.MultiheadAttention`, the transformer layers, `jit.script`ed code,
  scaled_dot_product_attention), feature and alpha dropout, and their in-place forms;
* code compiled while the patch is on: calls of `torch.nn.functional.dropout`, out of place and in place. The dropout
  inside of PyTorch's own operators (attention, recurrent nets), feature and alpha dropout stay PyTorch's there;
* `torch.func` transforms: `torch.nn.functional.dropout`, other than inside of PyTorch's own operators.

Everything else is handed to PyTorch: integers, complex, sparse, nested, other devices, tensor subclasses, channels in
half precision, and tensors (for channels: masks) too small to gain. `torch_patched()` counts both.

What a served call does otherwise than PyTorch: it draws one number from the default generator, so masks for a seed are
other masks; a dropped infinity or NaN is 0, not NaN (but for dropped channels); only the key of the mask is kept for
the backward pass. In eager code a checkpoint with ``use_reentrant=False`` that does not preserve the random state
raises in place of a gradient for another mask; a reentrant one cannot be told from a new call.
"""

from thinout.torch_patch._patch import PatchReport as PatchReport
from thinout.torch_patch._patch import TorchPatch as TorchPatch
from thinout.torch_patch._patch import patch_torch as patch_torch
from thinout.torch_patch._patch import torch_patched as torch_patched

__all__ = ["PatchReport", "TorchPatch", "patch_torch", "torch_patched"]
