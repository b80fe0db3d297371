"""Write src/thinout/lab/claims/times.json, from which the command estimates how long claims take.

python scripts/make_claim_times.py docs/results/claims runs/claims
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from thinout.lab.claims import all_claims, read_measurements
from thinout.lab.claims._times import FILE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", help="folders that claims were run into, in either form")
    folders, content = parser.parse_args().folders, {}
    for size in ("full", "quick"):
        found = {
            claim.id: [unit for folder in folders for unit in read_measurements(folder, claim, size)]
            for claim in all_claims()
        }
        content[size] = {
            name: {"num_units": len(units), "seconds": round(sum(unit.seconds for unit in units), 1)}
            for name, units in found.items()
            if units
        }
    FILE.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
