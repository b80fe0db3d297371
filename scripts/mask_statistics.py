"""Statistics of the mask's bits over at least 2**30 draws, written down once.

    python scripts/mask_statistics.py --out docs/results/mask-statistics.json

Each line of the result is one exact binomial test (a chi-square test for the joint patterns of a block's lanes) of what
the contract promises; with K tests the smallest p-value of a good generator is about 1/K. The keys are 0, 1, 2, ... in
the order of the tests, fixed before anything was looked at.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import torch
from scipy.stats import binomtest, chisquare

import thinout
from thinout import ops

DRAWS = 1 << 30
CHUNK = 1 << 24
RATES = (2**-16, 1e-3, 0.1, 1 / 3, 0.5, 0.9, 1 - 2**-16)
WIDE_RATES = (2**-30, 1e-6, 2**-8)
LAGS = (1, 2, 3, 4, 8, 32, 64)
SHAPE = (256, 256, 256)


def chunks(key: int, p: float, *, offset: int = 0, wide: bool = False) -> Iterator[torch.Tensor]:
    """Yield the mask of DRAWS elements piece by piece."""
    for first_index in range(0, DRAWS, CHUNK):
        yield ops.dropout_mask((CHUNK,), key, p, offset=offset, wide=wide, first_index=first_index)


def count(mask: torch.Tensor) -> int:
    """Count the True entries; a view as bytes sums faster than bools."""
    return int(mask.view(torch.uint8).sum(dtype=torch.int64))


def binomial(name: str, hits: int, draws: int, probability: float) -> dict[str, object]:
    """Return one exact test as a line of the result."""
    p_value = binomtest(hits, draws, probability).pvalue
    return {"test": name, "draws": draws, "hits": hits, "expected": probability * draws, "p_value": p_value}


def run() -> Iterator[dict[str, object]]:
    """Yield the line of each test."""
    key = 0
    for p in RATES:
        dropped = DRAWS - sum(count(mask) for mask in chunks(key, p))
        yield binomial(f"rate, p = {p:.7g}", dropped, DRAWS, ops.effective_p(p))
        key += 1
    for p in WIDE_RATES:
        dropped = DRAWS - sum(count(mask) for mask in chunks(key, p, wide=True))
        yield binomial(f"rate, wide format, p = {p:.7g}", dropped, DRAWS, ops.effective_p(p, wide=True))
        key += 1
    for lag in LAGS:
        equal = sum(count(mask[lag:] == mask[:-lag]) for mask in chunks(key, 0.5))
        yield binomial(f"equal neighbours at lag {lag}", equal, DRAWS // CHUNK * (CHUNK - lag), 0.5)
        key += 1
    for dim in range(3):
        equal = draws = 0
        for offset in range(DRAWS // CHUNK):
            mask = ops.dropout_mask(SHAPE, key, 0.5, offset=offset)
            pair = mask.narrow(dim, 1, SHAPE[dim] - 1) == mask.narrow(dim, 0, SHAPE[dim] - 1)
            equal, draws = equal + count(pair.contiguous()), draws + pair.numel()
        yield binomial(f"equal neighbours along axis {dim} of {SHAPE}", equal, draws, 0.5)
        key += 1
    for name, other, offset in (("key + 1", key + 1, 0), ("key + 2**32", key + 2**32, 0), ("offset 1", key, 1)):
        pairs = zip(chunks(key, 0.5), chunks(other, 0.5, offset=offset), strict=True)
        agree = sum(count(one == two) for one, two in pairs)
        yield binomial(f"agreement with {name}", agree, DRAWS, 0.5)
        key += 2
    patterns, places = torch.zeros(256, dtype=torch.int64), 2 ** torch.arange(8, dtype=torch.uint8)
    for mask in chunks(key, 0.5):
        patterns += torch.bincount(mask.view(-1, 8).to(torch.uint8) @ places, minlength=256)
    test = chisquare(patterns.numpy())
    yield {
        "test": "patterns of 8 lanes, chi-square",
        "draws": DRAWS // 8,
        "statistic": test.statistic,
        "p_value": test.pvalue,
    }


def main() -> None:
    """Run all tests, print a line each, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    path = parser.parse_args().out
    began = time.perf_counter()
    lines = []
    for line in run():
        lines.append(line)
        print(f"{line['test']:45} p-value {line['p_value']:.3g}", flush=True)
    content = {
        "command": f"python scripts/mask_statistics.py --out {path}",
        "mask_format": ops.MASK_FORMAT,
        "draws_a_test": DRAWS,
        "smallest_p_value": min(float(line["p_value"]) for line in lines),
        "num_tests": len(lines),
        "tests": lines,
        "seconds": round(time.perf_counter() - began, 1),
        "thinout": thinout.__version__,
        "torch": torch.__version__,
        "backend": ops.backends()["cpu"],
        "machine": platform.machine(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
