"""Networks that predict the next character: an LSTM with locked dropout, and a small causal transformer."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from thinout._checks import bad_value, check_count, check_p
from thinout.nn import Dropout, LockedDropout, WeightDrop


class CharLSTM(nn.Module):
    """Character embedding, LSTM layers, a linear layer; locked dropout on the output of every LSTM layer.

    Locked: one mask a sequence, the same at each of its steps. Every sequence starts from the zero state.

    Args:
        p: drop probability of a unit of an LSTM layer's output.
        weight_p: drop probability of a weight from state to state, one mask a layer and step of the optimiser.
        num_characters: size of the alphabet.
        embedding: features of a character.
        hidden: units of each LSTM layer.
        num_layers: LSTM layers.

    Shape:
        input: int64 (N, T); output: logits (N, T, num_characters).

    Raises:
        ValueError: p or weight_p outside of [0, 1].

    Example:
        >>> CharLSTM(0.5)(torch.zeros(2, 7, dtype=torch.int64)).shape
        torch.Size([2, 7, 65])

    Source: Hochreiter, Schmidhuber 1997, Neural Computation 9(8); Merity, Keskar, Socher 2018, arXiv 1708.02182, and
    Gal, Ghahramani 2016, arXiv 1512.05287, for the locked mask.
    """

    def __init__(
        self,
        p: float = 0.5,
        *,
        weight_p: float = 0.0,
        num_characters: int = 65,
        embedding: int = 32,
        hidden: int = 128,
        num_layers: int = 2,
    ) -> None:
        super().__init__()
        check_p("CharLSTM", p)
        check_p("CharLSTM", weight_p, "weight_p")
        check_count("CharLSTM", "num_layers", num_layers)
        self.embedding = nn.Embedding(num_characters, embedding)
        widths = [embedding] + [hidden] * (num_layers - 1)
        layers = [nn.LSTM(width, hidden, batch_first=True) for width in widths]
        self.layers = nn.ModuleList(WeightDrop(layer, "weight_hh_l0", weight_p) for layer in layers)
        self.dropouts = nn.ModuleList(LockedDropout(p, batch_first=True) for _ in layers)
        self.output = nn.Linear(hidden, num_characters)

    def forward(self, characters: Tensor) -> Tensor:
        """Return the logits of the next character at every step."""
        features: Tensor = self.embedding(characters)
        for layer, dropout in zip(self.layers, self.dropouts, strict=True):
            features = dropout(layer(features)[0])
        logits: Tensor = self.output(features)
        return logits


class CausalAttention(nn.Module):
    """Self-attention to the past and the present, with dropout of attention weights behind the softmax.

    Args:
        width: features of a position.
        num_heads: heads; each has width / num_heads features.
        p: drop probability of an attention weight.

    Shape:
        (N, T, width), the output is like the input.

    Source: Vaswani et al. 2017, arXiv 1706.03762.
    """

    def __init__(self, width: int, num_heads: int, p: float) -> None:
        super().__init__()
        if width % check_count("CausalAttention", "num_heads", num_heads):
            bad_value("CausalAttention", "num_heads", f"a divisor of the width {width}", num_heads)
        self.num_heads = num_heads
        self.inputs, self.outputs = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.softmax, self.dropout = nn.Softmax(dim=-1), Dropout(p)

    def forward(self, features: Tensor) -> Tensor:
        """Mix the positions of each sequence."""
        num, length, width = features.shape
        heads = self.inputs(features).view(num, length, 3, self.num_heads, width // self.num_heads)
        queries, keys, values = heads.permute(2, 0, 3, 1, 4)  # (N, heads, T, features) each
        scores = queries @ keys.transpose(2, 3) / math.sqrt(keys.shape[3])
        future = torch.ones(length, length, dtype=torch.bool, device=scores.device).triu(1)
        weights = self.dropout(self.softmax(scores.masked_fill(future, -math.inf)))
        mixed: Tensor = self.outputs((weights @ values).transpose(1, 2).reshape(num, length, width))
        return mixed


class _Block(nn.Module):
    def __init__(self, width: int, num_heads: int, p: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = CausalAttention(width, num_heads, p)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout1, self.dropout2 = Dropout(p), Dropout(p)

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.dropout1(self.attention(self.norm1(features)))
        result: Tensor = features + self.dropout2(self.mlp(self.norm2(features)))
        return result


class CharTransformer(nn.Module):
    """Embeddings of characters and positions, blocks of causal attention and two linear layers, a linear layer.

    Each branch is normalised at its input. Dropout as in the paper: on the sum of the embeddings, on every branch
    before it is added (residual dropout), and on the attention weights.

    Args:
        p: drop probability at all three places.
        num_characters: size of the alphabet.
        width: features of a position.
        num_heads: heads of attention.
        num_layers: blocks.
        max_length: positions that there are embeddings for.

    Shape:
        input: int64 (N, T), T at most max_length; output: logits (N, T, num_characters).

    Raises:
        ValueError: p outside of [0, 1], width no multiple of num_heads, or in `forward` a sequence too long.

    Example:
        >>> CharTransformer(0.1)(torch.zeros(2, 7, dtype=torch.int64)).shape
        torch.Size([2, 7, 65])

    Source: Vaswani et al. 2017, arXiv 1706.03762, section 5.4 for dropout; Xiong et al. 2020, arXiv 2002.04745, for
    where it is normalised.
    """

    def __init__(
        self,
        p: float = 0.1,
        *,
        num_characters: int = 65,
        width: int = 96,
        num_heads: int = 4,
        num_layers: int = 2,
        max_length: int = 128,
    ) -> None:
        super().__init__()
        check_p("CharTransformer", p)
        self.max_length = max_length
        self.characters, self.positions = nn.Embedding(num_characters, width), nn.Embedding(max_length, width)
        self.dropout = Dropout(p)
        self.blocks = nn.Sequential(*(_Block(width, num_heads, p) for _ in range(num_layers)))
        self.norm, self.output = nn.LayerNorm(width), nn.Linear(width, num_characters)

    def forward(self, characters: Tensor) -> Tensor:
        """Return the logits of the next character at every step."""
        length = characters.shape[1]
        if length > self.max_length:
            bad_value("CharTransformer", "characters", f"at most {self.max_length} a sequence", length)
        places = torch.arange(length, device=characters.device)
        features = self.dropout(self.characters(characters) + self.positions(places))
        logits: Tensor = self.output(self.norm(self.blocks(features)))
        return logits
