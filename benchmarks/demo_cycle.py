"""How long do two cycles on synthetic mice take from nothing, how good is the model, and how long does a second `dvc repro` take?

The demo was developed on other seeds than the ones to measure with; give those here.

    python benchmarks/demo_cycle.py --seeds 11 12
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FIGURES = ("box_ap50", "box_ap", "oks_ap50", "oks_ap", "rmse_px")


def command(*arguments: str, folder: Path | None = None) -> float:
    """Seconds that a command took; its output is kept from the screen unless it fails."""
    own = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": os.pathsep.join([own, os.environ["PATH"]])}
    start = time.monotonic()
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)} ended with status {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return time.monotonic() - start


def measure(seed: int, cycles: int) -> dict[str, Any]:
    """Two cycles in a new folder."""
    with tempfile.TemporaryDirectory(prefix="etholoop-demo-") as temporary:
        project = Path(temporary) / "project"
        seconds = command(
            sys.executable, "-m", "etholoop", "simulate", "--cycles", str(cycles), "--seed", str(seed), "--folder", str(project)
        )
        ledgers = [json.loads(path.read_text()) for path in sorted((project / "cycles").glob("c*.json"))]
        command("dvc", "repro", folder=project)
        return {"seed": seed, "minutes": seconds / 60, "noop_s": command("dvc", "repro", folder=project), "ledgers": ledgers}


def rows_of(result: dict[str, Any]) -> list[str]:
    """One line of a Markdown table per cycle."""
    rows = []
    for ledger in result["ledgers"]:
        figures = [f"{ledger['metrics'][name]:.3f}" if ledger["metrics"].get(name) is not None else "–" for name in FIGURES]
        last = ledger is result["ledgers"][-1]
        ends = [f"{result['minutes']:.1f}", f"{result['noop_s']:.1f}"] if last else ["", ""]
        rows.append(f"| {' | '.join([str(result['seed']), ledger['cycle'], str(ledger['labels']['frames']), *figures, *ends])} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[11])
    parser.add_argument("--cycles", type=int, default=2)
    arguments = parser.parse_args()
    head = ["seed", "cycle", "labelled frames", *FIGURES, "minutes in all", "second repro s"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for seed in arguments.seeds:
        print("\n".join(rows_of(measure(seed, arguments.cycles))), flush=True)


if __name__ == "__main__":
    main()
