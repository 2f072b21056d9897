"""Charts of the report as PNG bytes; the same numbers give the same bytes.

Colours are Okabe and Ito's and never the only sign: curves also differ in line style and marker.
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P")
INK, SOFT = "#1d2733", "#5b6773"

LOOK: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": "#b9c2cb",
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e8ed",
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "lines.linewidth": 1.9,
    "legend.frameon": False,
    "legend.fontsize": 9,
}

Interval = tuple[float, float]


@matplotlib.rc_context(LOOK)
def learning_curve(rows: Sequence[Mapping[str, Any]], shares: Mapping[str, str], lengths: Mapping[str, str]) -> bytes:
    """Figures over labelled frames, one point per cycle; ``shares`` lie in 0 to 1, ``lengths`` are pixels (name → title).

    Args:
        rows: one per cycle: ``cycle``, ``n_frames``, ``figures`` (name → value or None) and ``ci`` (name → interval or None).
    """
    figure, (left, right) = _figure(1, 2)
    for axes, names in ((left, shares), (right, lengths)):
        for number, (name, title) in enumerate(names.items()):
            points = [(row["n_frames"], row["figures"][name], row["ci"].get(name)) for row in rows if row["figures"].get(name) is not None]
            if points:
                _points_with_intervals(axes, points, title, number)
        _cycle_marks(axes, rows)
        axes.set_xlabel("labelled frames")
        axes.set_xlim(0, 1.08 * max(row["n_frames"] for row in rows))
        _legend(axes)
    left.set_ylim(0, 1.03)
    left.set_title("found and placed (higher is better)")
    right.set_ylim(bottom=0)
    right.set_title("keypoint error, pixels (lower is better)")
    return png(figure)


@matplotlib.rc_context(LOOK)
def precision_recall(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Precision over recall; name of the curve → (recall, precision)."""
    figure, axes = _figure(1, 1)
    for number, (name, (recall, precision)) in enumerate(curves.items()):
        axes.plot(recall, precision, color=COLOURS[number % 6], linestyle=STYLES[number % 4], label=name)
    axes.set(xlim=(0, 1.01), ylim=(0, 1.03), xlabel="recall: share of the animals found", ylabel="precision: share of finds that are right")
    axes.set_title("precision and recall at a match of .50")
    _legend(axes, loc="lower left")
    return png(figure)


@matplotlib.rc_context(LOOK)
def calibration(low: np.ndarray, high: np.ndarray, n: np.ndarray, confidence: np.ndarray, correct: np.ndarray) -> bytes:
    """How often finds of each confidence are right (NaN = empty bin), with the number of finds below."""
    figure = new_figure(4.9, 3.5)
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    upper.plot([0, 1], [0, 1], color=SOFT, linestyle=":", linewidth=1.2, label="as sure as right")
    some = n > 0
    upper.plot(confidence[some], correct[some], color=BLUE, marker="o", markersize=5, label="this model")
    upper.set(ylim=(0, 1.03), ylabel="share right")
    upper.set_title("calibration: is it right as often as it says?")
    _legend(upper, loc="upper left")
    lower.bar((low + high) / 2, n, width=(high - low) * 0.9, color=SKY)
    lower.set(xlim=(0, 1), xlabel="confidence the model states", ylabel="finds")
    return png(figure)


@matplotlib.rc_context(LOOK)
def training(
    epochs: np.ndarray, losses: Mapping[str, np.ndarray], figures: Mapping[str, tuple[np.ndarray, np.ndarray]], judged_on: str = "images"
) -> bytes:
    """Loss terms, one value per epoch, and validation figures, which have epochs of their own: name → (epochs, values)."""
    figure, (left, right) = _figure(1, 2)
    whole = {name: (epochs, values) for name, values in losses.items()}
    for axes, curves, title in ((left, whole, "loss (lower is better)"), (right, figures, f"on validation {judged_on} (higher is better)")):
        for number, (name, (x, y)) in enumerate(curves.items()):
            marker = "o" if len(x) < 3 else None
            axes.plot(x, y, color=COLOURS[number % 6], linestyle=STYLES[number % 4], marker=marker, label=name, linewidth=1.6)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_title(title)
        _legend(axes)
    left.set_ylim(bottom=0)
    right.set_ylim(0, 1.03)
    return png(figure)


@matplotlib.rc_context(LOOK)
def by_video(names: Sequence[str], figures: Mapping[str, np.ndarray]) -> bytes:
    """One dot per held-out recording: what the mean hides."""
    figure, axes = _dots(names, figures)
    axes.set_xlim(0, 1.03)
    axes.set_title("each held-out recording by itself")
    return png(figure)


@matplotlib.rc_context(LOOK)
def keypoint_errors(names: Sequence[str], figures: Mapping[str, np.ndarray]) -> bytes:
    """One row per keypoint: name of the figure → pixels, one value per keypoint."""
    figure, axes = _dots(names, figures)
    axes.set_xlim(left=0)
    axes.set_xlabel("pixels")
    axes.set_title("keypoint error on held-out recordings (lower is better)")
    return png(figure)


def _dots(names: Sequence[str], figures: Mapping[str, np.ndarray]) -> tuple[Figure, Any]:
    """A row per name, a marker per figure; the first name on top."""
    figure = new_figure(9.6, 1.1 + 0.3 * len(names))
    axes = figure.subplots()
    for number, (name, values) in enumerate(figures.items()):
        places = np.arange(len(names)) + (number - (len(figures) - 1) / 2) * 0.16
        axes.plot(
            values, places, linestyle="", marker=MARKERS[number % 6], color=COLOURS[number % 6], markersize=6, label=name, clip_on=False
        )
    axes.set(yticks=np.arange(len(names)), ylim=(len(names) - 0.5, -0.5))
    axes.set_yticklabels([name if len(name) <= 40 else f"{name[:39]}…" for name in names])
    _legend(axes, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure, axes


def _points_with_intervals(axes: Any, points: list[tuple[float, float, Interval | None]], title: str, number: int) -> None:
    x, y = np.array([point[0] for point in points], dtype=float), np.array([point[1] for point in points], dtype=float)
    style = {"color": COLOURS[number % 6], "linestyle": STYLES[number % 4], "marker": MARKERS[number % 6], "markersize": 5.5}
    axes.plot(x, y, label=title, **style)
    aside = (number - 0.5) * 0.008 * x.max()  # intervals of two curves must not hide each other
    for place, value, interval in points:
        if interval:
            low, high = min(interval[0], value), max(interval[1], value)
            axes.vlines(place + aside, low, high, color=COLOURS[number % 6], linewidth=1.3, alpha=0.8)


def _cycle_marks(axes: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "ha": "center"}
        axes.annotate(row["cycle"], (row["n_frames"], 0), (0, 3), color=SOFT, fontsize=8, **place)


def _legend(axes: Any, **place: Any) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(**place)


def _figure(rows: int, columns: int) -> tuple[Figure, Any]:
    figure = new_figure(4.9 * columns, 3.5 * rows)
    return figure, figure.subplots(rows, columns)


def new_figure(width: float, height: float) -> Figure:
    """A drawing so many inches wide and high."""
    figure = Figure(figsize=(width, height), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def png(figure: Figure) -> bytes:
    """The drawing as PNG bytes that tell nothing of the program that made them."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()
