"""How well do behaviour models do on sessions that no training saw, through the real pipeline, and in what time? Bar: macro-F1 .85.

`etholoop demo-behaviour` in a new folder for each seed: rendered videos with scripted behaviours, an oracle for boxes and bouts,
`etholoop repro`. The demo was developed on other seeds than the ones to measure with; give those here.

    python benchmarks/demo_behaviour.py --seeds 61 62
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from demo_cycle import command

FIGURES = ("f1_macro", "accuracy_micro", "accuracy_macro", "bout_f1_macro", "budget_error")


def measure(seed: int, families: list[str], sessions: int, frames: int) -> dict[str, Any]:
    """One demo in a new folder."""
    with tempfile.TemporaryDirectory(prefix="etholoop-demo-behaviour-") as temporary:
        project = Path(temporary) / "project"
        options = [word for family in families for word in ("--family", family)]
        size = ["--sessions", str(sessions), "--frames", str(frames), "--seed", str(seed)]
        start = time.monotonic()
        command(sys.executable, "-m", "etholoop", "demo-behaviour", *options, *size, "--folder", str(project))
        minutes = (time.monotonic() - start) / 60
        content = json.loads((project / "metrics/behaviour.json").read_text(encoding="utf-8"))
        counts = json.loads((project / "data/datasets/behaviour/counts.json").read_text(encoding="utf-8"))
    return {"seed": seed, "minutes": minutes, "families": content["families"], "counts": counts}


def rows_of(result: dict[str, Any]) -> list[str]:
    """One line of a Markdown table per family."""
    unused = result["counts"]["n_frames_not_used"] / max(1, result["counts"]["n_frames_looked_at"])
    rows = []
    for family, about in sorted(result["families"].items()):
        own = about["test"]
        figures = [f"{own[name]:.3f}" if own.get(name) is not None else "–" for name in FIGURES]
        each = ", ".join(f"{name} {row['f1']:.2f}" for name, row in sorted(own.get("behaviours", {}).items()) if row["f1"] is not None)
        cells = [str(result["seed"]), family, *figures, each, f"{unused:.3f}", f"{result['minutes']:.1f}"]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[61])
    parser.add_argument("--family", nargs="*", default=[], help="default: all there are")
    parser.add_argument("--sessions", type=int, default=28)
    parser.add_argument("--frames", type=int, default=200)
    options = parser.parse_args()
    head = ["seed", "family", *FIGURES, "F1 of each behaviour", "labelled time without a track", "minutes in all"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for seed in options.seeds:
        print("\n".join(rows_of(measure(seed, options.family, options.sessions, options.frames))), flush=True)


if __name__ == "__main__":
    main()
