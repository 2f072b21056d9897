"""Charts of behaviour as PNG bytes: ethograms, confusions, time budgets. The look is that of ``charts``.

Behaviours look as they do everywhere (``core.behaviour_looks``): told apart by colour and, where they are many, by hatching.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.patches import Patch

from etholoop.core.behaviour_facts import LABELLED, AnimalTime
from etholoop.core.behaviour_looks import look_of
from etholoop.io import charts
from etholoop.io.charts import INK, LOOK, SOFT

HATCHES = ("", "////", "....", "xxxx")
NONE, UNKNOWN_EDGE = "#edf0f3", "#aab4be"
ROW_INCHES, ANIMAL_INCHES = 0.19, 0.55
LANE_GAP = 0.45
LONGEST_NAME = 34
LEGEND_LETTERS = 120


def style_of(number: int) -> dict[str, Any]:
    """Colour and hatching of a behaviour by its place in the ethogram, for matplotlib."""
    look = look_of(number)
    return {"facecolor": look.colour, "hatch": HATCHES[look.hatch], "edgecolor": INK, "linewidth": 0.3}


@matplotlib.rc_context({**LOOK, "hatch.linewidth": 0.6})
def ethogram(
    animals: Sequence[AnimalTime], lanes: Sequence[Sequence[str]], behaviours: Sequence[str], seconds: Mapping[str, float | None]
) -> bytes:
    """Bouts over time, one block for each animal, in it for each lane a row for each source.

    Args:
        lanes: behaviours that share rows because they never overlap.
        seconds: length of a frame of each video; None = time is counted in frames.
    """
    heights = [ANIMAL_INCHES + ROW_INCHES * (len(lanes) * (len(animal.said) + LANE_GAP)) for animal in animals]
    figure = charts.new_figure(9.6, sum(heights) + 0.5)
    all_axes = figure.subplots(len(animals), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    styles = {name: style_of(number) for number, name in enumerate(behaviours)}
    for axes, animal in zip(all_axes, animals, strict=True):
        _animal(axes, animal, lanes, styles, seconds.get(animal.video_id))
    handles = [Patch(**style, label=_short(name)) for name, style in styles.items()]
    handles.append(Patch(facecolor=NONE, label="none of them"))
    handles.append(Patch(facecolor="white", edgecolor=UNKNOWN_EDGE, hatch="////", linewidth=0, label="not looked at, or unsure"))
    figure.legend(handles=handles, loc="outside upper left", ncols=_columns(handles), handlelength=1.6, columnspacing=1.2)
    return charts.png(figure)


def _columns(handles: Sequence[Patch]) -> int:
    """All in one line where there is room, so that behaviours stand in their order."""
    return len(handles) if sum(len(str(handle.get_label())) + 6 for handle in handles) <= LEGEND_LETTERS else 6


def _animal(axes: Any, animal: AnimalTime, lanes: Sequence[Sequence[str]], styles: Mapping[str, Any], second: float | None) -> None:
    scale = second or 1.0
    ticks, names, place = [], [], 0.0
    for lane in lanes:
        for source, bouts in animal.said.items():
            _background(axes, animal, source, place, scale)
            for name in lane:
                axes.broken_barh(_bars(bouts[name], scale), (place - 0.42, 0.84), **styles[name])
            ticks.append(place)
            names.append(_short(source))
            place += 1
        place += LANE_GAP
    axes.set(xlim=(animal.start_frame * scale, max(animal.stop_frame, animal.start_frame + 1) * scale), ylim=(place - LANE_GAP - 0.4, -0.6))
    axes.set_yticks(ticks, names, fontsize=8.5)
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    part = f", middle part of {animal.part_of[0] * scale:.0f} to {animal.part_of[1] * scale:.0f}" if animal.part_of else ""
    axes.set_title(f"{_short(title_of(animal), 80)}{part}", fontsize=9.5)
    axes.set_xlabel("seconds" if second else "frame", fontsize=8)


def _background(axes: Any, animal: AnimalTime, source: str, place: float, scale: float) -> None:
    """Grey where something is known or said, hatched where not."""
    whole = np.array([[animal.start_frame, animal.stop_frame]])
    hatched = {"facecolor": "white", "edgecolor": UNKNOWN_EDGE, "hatch": "////", "linewidth": 0}
    plain = {"facecolor": NONE, "linewidth": 0}
    layers = ((whole, hatched), (animal.known, plain)) if source == LABELLED else ((whole, plain), (animal.unsure[source], hatched))
    for intervals, look in layers:
        axes.broken_barh(_bars(intervals, scale), (place - 0.42, 0.84), **look)


def _bars(intervals: np.ndarray, scale: float) -> list[tuple[float, float]]:
    return [(start * scale, (stop - start) * scale) for start, stop in intervals.tolist()]


def title_of(animal: AnimalTime) -> str:
    """``cage1 · m1 (track 0)``; only the video where it stands for the animal."""
    track = f"track {animal.track}" if animal.track >= 0 else ""
    who = f"{animal.subject} ({track})" if animal.subject and track else animal.subject or track
    return f"{animal.video_id} · {who}" if who else animal.video_id


@matplotlib.rc_context(LOOK)
def confusion(names: Sequence[str], counts: np.ndarray) -> bytes:
    """Share of each labelled state (rows) that was called so (columns), in percent; ``counts`` (S, S) frames."""
    total = counts.sum(axis=1)
    share = np.divide(counts, total[:, None], out=np.zeros(counts.shape), where=total[:, None] > 0)
    side = max(1.3, 0.52 * len(names))
    figure = charts.new_figure(side + 1.9, side + 1.0)
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    edges = np.arange(len(names) + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(False)
    axes.grid(which="minor", color="white", linewidth=2)
    for row, column in np.ndindex(counts.shape):
        if counts[row, column]:
            dark = share[row, column] > 0.55
            axes.text(column, row, _percent(share[row, column]), ha="center", va="center", fontsize=9, color="white" if dark else INK)
    axes.set_xticks(range(len(names)), [_short(name, 22) for name in names], rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), [f"{_short(name, 22)} ({int(n)})" for name, n in zip(names, total, strict=True)])
    axes.tick_params(which="both", length=0)
    axes.set(xlabel="called", ylabel="labelled (frames)")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_title("percent of each row")
    return charts.png(figure)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.005 else "<1"


@matplotlib.rc_context(LOOK)
def budgets(behaviours: Sequence[str], shares: Mapping[str, np.ndarray]) -> bytes:
    """Share of the time in each behaviour (K,), one bar for each source."""
    sources = list(shares)
    thick = 0.8 / len(sources)
    figure = charts.new_figure(9.6, 0.9 + len(behaviours) * (0.16 + 0.17 * len(sources)))
    axes = figure.subplots()
    places = np.arange(len(behaviours))
    for number, source in enumerate(sources):
        look: dict[str, Any] = {"color": SOFT}
        if source != LABELLED:
            look = {"color": charts.COLOURS[(number - 1) % 6], "hatch": HATCHES[(number - 1) % 4]}
        at = places + (number - (len(sources) - 1) / 2) * thick
        axes.barh(at, 100 * shares[source], height=thick * 0.9, label=_short(source), edgecolor="white", linewidth=0, **look)
    axes.set_yticks(places, [_short(name) for name in behaviours])
    axes.set(ylim=(len(behaviours) - 0.5, -0.5), xlabel="percent of the labelled time")
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="y")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return charts.png(figure)


def _short(name: str, most: int = LONGEST_NAME) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
