"""The behaviour section of the report: figures, confusions, rules and training of each family, ethograms and time budgets."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from etholoop.errors import EthoLoopError
from etholoop.io import behaviour_charts, charts
from etholoop.io.report_html import Picture, chart_width, count, data_uri, figure, interval
from etholoop.stages._report_behaviour_inputs import Behaviour
from etholoop.stages._report_behaviour_time import animals_of, budgets_of, ethogram_of
from etholoop.stages._report_inputs import Inputs
from etholoop.stages._report_pictures import by_video_chart

FIGURES = {
    "f1_macro": ("Behaviours right (macro-F1)", "mean over behaviours: a rare one counts as much as a common one"),
    "accuracy_micro": ("Frames right (micro accuracy)", "share of the frames with the right behaviour"),
    "accuracy_macro": ("Behaviours found (macro accuracy)", "mean over behaviours of the share of their frames that was found"),
    "bout_f1_macro": ("Bouts right (bout F1)", "1 = every bout found once, in time, and no other"),
    "kappa": ("Agreement (Cohen's κ)", "agreement beyond chance; 0 is chance, 1 is all"),
    "map": ("Scores in order (mAP)", "average precision of the scores, whatever the threshold"),
    "budget_error": ("Time-budget error", "mean difference of the shares of time; 0 is best"),
    "coverage": ("Time decided", "share of the labelled time of which something is said"),
}
SEGMENTS = {"segment_accuracy_micro": "Segments right (KABR, micro)", "segment_accuracy_macro": "Segments right (KABR, macro)"}
BY_VIDEO = {"f1_macro": "macro-F1", "accuracy_micro": "accuracy", "bout_f1_macro": "bout F1"}
EACH = {
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "ap": "AP",
    "bout_f1": "bout F1",
    "kappa": "κ",
    "budget_error": "budget error",
}
WITH_INTERVAL = ("f1", "ap", "bout_f1")
CURVES = {"val_accuracy_micro": "accuracy", "val_accuracy_macro": "macro accuracy", "val_f1_macro": "macro-F1", "val_map": "mAP"}
METHODS = {
    "hmm": "Scores are smoothed by how long behaviours last and what follows what, as labels of train and val show (hidden Markov model).",
    "threshold": "A behaviour happens where its score passes a threshold of its own, chosen on val.",
    "argmax": "The most probable behaviour of each frame counts.",
}
CALIBRATIONS = {"temperature": "temperature", "platt": "Platt's method", "isotonic": "isotonic regression"}
UNTRAINED_HINT = "Name families in `behaviour_train.families` of params.yaml, for example `[motion]`, and run `etholoop repro`."


def behaviour(inputs: Inputs, n_animals: int) -> dict[str, Any] | None:
    """Content of the section; None for a project without behaviours."""
    found = Behaviour(inputs.project, inputs.videos)
    if not found.exists:
        return None
    shown, judging = animals_of(found, n_animals)
    counted = label_rows(found)
    return {
        "words": lead(found),
        "hint": "" if found.trained else UNTRAINED_HINT,
        **overview(found),
        "families": [family_of(found, family) for family in sorted(found.trained)],
        **ethogram_of(found, shown),
        **budgets_of(found, judging),
        "label_header": counted[0],
        "label_rows": counted[1],
        "dropped": [[row["video_id"], row["subject"] or "–", row["reason"]] for row in found.counts.get("dropped", [])],
    }


def lead(found: Behaviour) -> str:
    n_used = sum(split["n_frames"] for split in found.counts.get("splits", {}).values())
    by = f" Bouts were marked by {', '.join(found.annotators)}." if found.annotators else ""
    families = f"Families of models: {', '.join(sorted(found.trained))}." if found.trained else "No family of models is asked for yet."
    words = "No behaviour is labelled yet."
    if n_used:
        words = f"{count(n_used, 'labelled frame')} of animals, {count(len(found.behaviours), 'behaviour')}."
    return f"{words}{by} {families}"


def overview(found: Behaviour) -> dict[str, Any]:
    """One row for each judged family; empty where there is but one."""
    rows = [[family, *(figure(found.figures_of(family).get(name)) for name in FIGURES)] for family in sorted(found.trained)]
    short = ("macro-F1", "accuracy, micro", "accuracy, macro", "bout F1", "κ", "mAP", "budget error", "decided")
    return {"overview_header": ["family", *short], "overview_rows": rows if len(rows) > 1 else []}


def family_of(found: Behaviour, family: str) -> dict[str, Any]:
    """What is known of one family: of one that was not trained or judged the reason."""
    about, judged = found.trained[family], found.figures_of(family)
    missing = ""
    if not about.get("trained"):
        missing = f"Not trained: {_sentence(about.get('reason'))}"
    elif not judged.get("evaluated"):
        missing = f"Trained, but not judged: {_sentence(judged.get('reason') or 'no figures were written')}"
    evaluated = bool(judged.get("evaluated"))
    return {
        "name": family,
        "missing": missing,
        "cards": cards(judged) if evaluated else [],
        "judged_on": judged_on(judged, found.split_of(family)) if evaluated else "",
        "doubts": str(judged.get("note") or ""),
        "each_header": ["behaviour", *EACH.values(), "frames", "bouts"],
        "each_rows": each_rows(judged) if evaluated else [],
        "by_video": by_video(found, family),
        "matrices": matrices(found, family),
        **rules_of(found.rules.get(family)),
        "curves": curves_of(found, family),
        "notes": [str(note) for note in about.get("notes", [])],
        "facts": facts_of(about),
    }


def _sentence(reason: Any) -> str:
    return f"{str(reason or 'no reason was written').rstrip('.')}."


def judged_on(judged: Mapping[str, Any], split: str) -> str:
    recordings = f"{count(judged['n_videos'], 'recording')} " + (
        "held out" if split == "test" else f"of the split {split}, which is not held out"
    )
    scope = f"{count(judged['n_animals'], 'animal')} in {count(judged['n_frames'], 'labelled frame')} of {recordings}"
    several = any(None not in ends for ends in (judged.get("ci") or {}).values())
    brackets = " In brackets: 95 % interval from resampling whole recordings." if several else " One recording gives no intervals."
    return f"Judged on {scope}.{brackets}"


def cards(judged: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Headline figures with intervals; a figure that does not exist has no card."""
    found = [(name, title, meaning, judged) for name, (title, meaning) in FIGURES.items()]
    kabr = judged.get("kabr") or {}
    told = f"pieces of {kabr.get('frames')} frames, label by {kabr.get('label')}; {count(kabr.get('n_segments', 0), 'piece')}"
    found += [(name, title, told, kabr) for name, title in SEGMENTS.items()]
    return [
        {"name": title, "value": record_[name], "ci": (record_.get("ci") or {}).get(name), "meaning": meaning}
        for name, title, meaning, record_ in found
        if record_.get(name) is not None
    ]


def each_rows(judged: Mapping[str, Any]) -> list[list[Any]]:
    """One row for each behaviour, in the order of how often it is labelled."""
    intervals = judged.get("ci") or {}
    rows = []
    for name, own in sorted(judged["behaviours"].items(), key=lambda item: (-item[1]["n_frames"], item[0])):
        cells = [
            f"{figure(own.get(key))}\n{interval(intervals.get(f'{key}/{name}'))}".rstrip() if key in WITH_INTERVAL else figure(own.get(key))
            for key in EACH
        ]
        rows.append([name, *cells, own["n_frames"], own["n_bouts"]])
    return rows


def by_video(found: Behaviour, family: str) -> Picture | None:
    rows = found.by_video
    return by_video_chart(rows[rows["family"] == family], BY_VIDEO, found.split_of(family)) if len(rows) else None


def matrices(found: Behaviour, family: str) -> list[Picture]:
    """A confusion matrix for each group of behaviours that exclude each other.

    Raises:
        EthoLoopError: the table is not about the groups of the rule.
    """
    rows = found.confusions
    rows = rows[(rows["family"] == family) & (rows["split"] == found.split_of(family))] if len(rows) else rows
    pictures, place = [], 0
    for group in found.rules.get(family, {}).get("groups", []) if len(rows) else []:
        names = ["(none)", *group]
        part = rows.iloc[place : place + len(names) ** 2]
        place += len(names) ** 2
        if part["truth"].tolist() != [name for name in names for _ in names]:
            raise EthoLoopError("metrics/plots/behaviour_test_confusion.csv and data/bouts/rules.json do not fit. Run `etholoop repro`.")
        pictures.append(matrix(names, part["n"].to_numpy(float).reshape(len(names), len(names))))
    return pictures


def matrix(names: Sequence[str], counts: np.ndarray) -> Picture:
    png = behaviour_charts.confusion(names, counts)
    total = counts.sum(axis=1)
    right = [f"{name} {100 * counts[k, k] / total[k]:.0f} %" for k, name in enumerate(names) if total[k]]
    return Picture(data_uri(png), f"Confusion matrix; called as labelled: {', '.join(right) or 'nothing'}.", width_px=chart_width(png))


def rules_of(rules: Mapping[str, Any] | None) -> dict[str, Any]:
    """How scores became bouts, in words and by behaviour."""
    if not rules:
        return {"rule_words": [], "rule_header": [], "rule_rows": [], "rule_notes": []}
    by_threshold = rules["method"] == "threshold"
    columns = {"thresholds": "threshold"} if by_threshold else {}
    columns |= {"min_frames": "shortest bout, frames", "max_gaps": "gaps closed up to, frames"}
    columns |= {"reached_on_val": "reached on val"} if by_threshold else {}
    rows = [[name, *(_cell(rules[key].get(name)) for key in columns)] for name in rules["behaviours"]]
    return {
        "rule_words": rule_words(rules),
        "rule_header": ["behaviour", *columns.values()],
        "rule_rows": rows,
        "rule_notes": [str(note) for note in rules["notes"]],
    }


def rule_words(rules: Mapping[str, Any]) -> list[str]:
    words = [METHODS[rules["method"]]]
    kind = rules["calibration"]["kind"]
    words.append(f"Scores were calibrated on val by {CALIBRATIONS[kind]}." if kind in CALIBRATIONS else "Scores were not calibrated.")
    words += [f"Never at the same time: {', '.join(group)}." for group in rules["groups"] if len(group) > 1]
    if rules["smooth_frames"] > 1:
        words.append(f"Scores are means over {rules['smooth_frames']} frames.")
    if rules["unsure_below"] > 0:
        words.append(f"Nothing is said where the most probable is less probable than {rules['unsure_below']:g}.")
    trusted = zip(rules["groups"], rules["emission_weights"], strict=False)
    words += [f"For {', '.join(group)} single frames are trusted by {weight:g}." for group, weight in trusted if weight < 1]
    if rules["deepethogram_lengths"]:
        words.append("Short bouts are removed as DeepEthogram does it.")
    return words


def _cell(value: Any) -> str:
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def curves_of(found: Behaviour, family: str) -> Picture | None:
    """Loss and validation figures over epochs; None for a family that is fitted at once."""
    rows = found.curves[found.curves["family"] == family] if len(found.curves) else found.curves
    if len(rows) < 2:
        return None
    epochs = rows["epoch"].to_numpy(float)
    losses = {title: rows[name].to_numpy(float) for name, title in (("loss", "training"), ("val_loss", "validation")) if _has(rows, name)}
    figures = {title: (epochs, rows[name].to_numpy(float)) for name, title in CURVES.items() if _has(rows, name)}
    last = "; ".join(f"{title} {values[1][-1]:.3f}" for title, values in figures.items())
    alt = f"Training of {family} over {len(rows)} epochs. At the end: {last or 'no validation figures'}."
    return Picture(data_uri(charts.training(epochs, losses, figures, "clips")), alt)


def _has(rows: pd.DataFrame, name: str) -> bool:
    return name in rows and bool(rows[name].notna().any())


def facts_of(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Other things that training wrote, as name and value."""
    known = ("trained", "reason", "notes", "weights_sha256")
    facts = [(name.replace("_", " "), _plain(value)) for name, value in sorted(about.items()) if name not in known and value is not None]
    weights = about.get("weights_sha256")
    return [*facts, ("weights", f"SHA-256 {weights}")] if weights else facts


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if value == int(value) and abs(value) >= 1 else f"{value:.4g}"
    return str(value)


def label_rows(found: Behaviour) -> tuple[list[str], list[list[Any]]]:
    """Labelled frames and bouts of each behaviour by split."""
    splits = [name for name in ("train", "val", "test") if name in found.counts.get("splits", {})]
    header = ["behaviour", *(f"{name}: {what}" for name in splits for what in ("frames", "bouts"))]
    by_split = found.counts.get("splits", {})
    rows = [[name, *(by_split[split][what][name] for split in splits for what in ("frames", "bouts"))] for name in found.behaviours]
    none = ["none of them", *(cell for split in splits for cell in (by_split[split]["n_frames_with_none"], "–"))]
    return header, [*rows, none] if splits else []
