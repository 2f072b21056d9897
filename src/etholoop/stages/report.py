"""report: everything about the cycle → one page for people, reports/cycle.html."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import Field

from etholoop.params import Section
from etholoop.project import Project

if TYPE_CHECKING:
    from etholoop.core.cycle_facts import LabelCounts
    from etholoop.stages._report_inputs import Inputs
    from etholoop.stages._report_pictures import Pictures

KEY = ["video_id", "frame"]
MAX_THUMBNAILS = 60
"""Frames of the batch shown as pictures; the rest are in data/selection."""
HELD_OUT_THUMBNAILS = 8

FIGURES = {
    "box_ap50": ("Animals found (box AP50)", "", "1 = every animal found and nothing else, at half overlap"),
    "oks_ap50": ("Poses right (OKS-AP50)", "", "the same for keypoints, by the skeleton's own tolerances"),
    "median_px": ("Median keypoint error", "px", "half of the keypoints are nearer than this"),
    "rmse_px": ("RMSE of keypoints", "px", "far-off keypoints weigh most"),
    "pck": ("Keypoints in place (PCK)", "", "share within a tenth of the animal's size"),
    "box_ap": ("Box AP .50:.95", "", "how tightly the boxes fit"),
    "oks_ap": ("OKS-AP .50:.95", "", "how closely the poses fit"),
    "ece": ("Calibration error (ECE)", "", "gap between stated and real certainty; 0 is best"),
}
SYNTHETIC = "synthetic"
"""Note at labels that the oracle of `etholoop simulate` gave."""
LOWER_IS_BETTER = {"median_px", "rmse_px", "ece"}
SHARES = {"box_ap50": "box AP50", "oks_ap50": "OKS-AP50"}
LENGTHS = {"rmse_px": "RMSE", "median_px": "median"}
SECTIONS = {
    "next-steps": "What to do now",
    "figures": "Figures",
    "learning": "Learning curve",
    "samples": "Held-out frames",
    "errors": "Worst errors",
    "curves": "Curves",
    "behaviour": "Behaviour",
    "batch": "What to label next",
    "held-out": "Held-out list",
    "inputs": "What went in",
    "provenance": "Provenance",
}


class Params(Section):
    """How much the report shows."""

    n_samples: int = Field(6, ge=0)
    """Held-out frames with predictions drawn beside the labels."""
    n_worst: int = Field(8, ge=0)
    thumbnail_px: int = Field(320, ge=80, le=1280)
    n_animals: int = Field(6, ge=0)
    """Animals whose behaviour is drawn over time."""


def run(project: Project, params: Params) -> None:
    """Write the report; without a model it says what is missing and what to do."""
    from etholoop.io import atomic
    from etholoop.io.report_html import render
    from etholoop.stages._report_inputs import Inputs
    from etholoop.stages._report_pictures import Pictures

    inputs = Inputs(project)
    atomic.write_text(project.report, render(page(inputs, Pictures(inputs, params.thumbnail_px), params)))


def page(inputs: "Inputs", pictures: "Pictures", params: Params) -> dict[str, Any]:
    """Everything the template shows."""
    from etholoop import __version__
    from etholoop.core.cycle_facts import label_counts
    from etholoop.stages._report_behaviour import behaviour
    from etholoop.stages._report_pictures import keypoint_colours

    species, points = inputs.skeleton.species, inputs.skeleton.keypoint_names
    counts = label_counts(inputs.labelled, inputs.boxes, inputs.keypoints, inputs.splits, species=species, keypoint_names=points)
    content: dict[str, Any] = {"title": f"Cycle {inputs.cycle.id}", "version": __version__, "keypoint_colours": keypoint_colours(inputs)}
    content |= {"lead": lead(inputs, counts), "warnings": warnings(inputs), **what_to_do(inputs, counts)}
    content |= {**figures(inputs), **learning(inputs, counts), **examples(inputs, pictures, params), **curves(inputs)}
    content["behaviour"] = behaviour(inputs, params.n_animals)
    content |= {**batch(inputs, pictures), **held_out(inputs, pictures), **what_went_in(inputs, counts), **provenance(inputs)}
    shown = {"figures": "headline", "learning": "learning_chart", "samples": "samples", "errors": "worst"}
    shown |= {"curves": "curves", "behaviour": "behaviour"}
    content["sections"] = [(anchor, name) for anchor, name in SECTIONS.items() if anchor not in shown or content[shown[anchor]]]
    return content


def lead(inputs: "Inputs", counts: "LabelCounts") -> str:
    from etholoop.io.report_html import count

    sources = f"{count(len(inputs.videos), 'recording')} of {count(inputs.videos['session'].nunique(), 'session')}"
    labels = f"{count(len(inputs.frames), 'sampled frame')}, {counts.n_frames} labelled"
    if inputs.test:
        found = inputs.test
        judged = f"judged on {count(found['n_frames'], 'frame')} of {count(found['n_videos'], 'held-out recording')}"
    else:
        judged = "a model that nothing has judged yet" if len(inputs.predicted) else "no model yet"
    return f"{sources}; {labels}; {judged}."


def warnings(inputs: "Inputs") -> list[dict[str, str]]:
    """How the splits were made and which rules were set aside: what every figure below has to be read with."""
    where = "data/raw/splits.csv"
    words = {
        "group": ("", "Honest split", "Whole groups are held out: the figures speak of recordings the model has never seen."),
        "blocks": (
            "warn",
            "One recording cut into blocks",
            "Test frames come from recordings the model was trained on, some seconds apart. The figures say little about other recordings.",
        ),
        "fixed": (
            "bad",
            "Splits decided by hand or by a compatibility mode",
            f"They are taken from {where}. Where frames of one recording lie on both sides, the split leaks and the figures are too good.",
        ),
    }
    modes = sorted(set(inputs.splits["mode"]))
    found = [dict(zip(("level", "title", "text"), words[mode], strict=True)) for mode in modes]
    if len(inputs.labelled) and (inputs.labelled["note"] == SYNTHETIC).all():
        found.insert(0, {"level": "", "title": "Synthetic animals", "text": "All labels are of rendered animals, not of real ones."})
    for gate, content in inputs.gates.items():
        for rule, override in sorted(content.get("overrides", {}).items()):
            needed = "It fails on these data." if override["needed"] else "It would pass on these data: the override can go."
            title = f"Rule '{rule}' of gate '{gate}' is set aside"
            found.append({"level": "bad", "title": title, "text": f"Reason given: {override['reason']}. {needed}"})
    return found


def what_to_do(inputs: "Inputs", counts: "LabelCounts") -> dict[str, Any]:
    from etholoop.core.cycle_facts import next_steps

    missing = []
    if not len(inputs.predicted):
        missing.append(f"There is no trained model yet{_because(inputs.model)}.")
    if not inputs.test:
        missing.append(f"No figures yet{_because(inputs.evaluation.get('test') or inputs.evaluation)}.")
    n = {"n_videos": len(inputs.videos), "n_batch": len(inputs.batch), "n_held_out": len(inputs.held_out)}
    return {"missing": missing, "steps": next_steps(**n, counts=counts, evaluated=bool(inputs.test))}


def _because(record: dict[str, Any]) -> str:
    reason = str(record.get("reason") or "").rstrip(".")
    return f": {reason}" if reason else ""


def figures(inputs: "Inputs") -> dict[str, Any]:
    """Headline figures with intervals, recording by recording and keypoint by keypoint."""
    from etholoop.io.report_html import count, figure
    from etholoop.stages._report_pictures import by_video_chart

    test = inputs.test
    before = [closed for closed in inputs.closed if closed["cycle"] < inputs.cycle.id]
    cards = [
        {
            "name": name,
            "unit": unit,
            "meaning": meaning,
            "value": test[key],
            "ci": (test.get("ci") or {}).get(key),
            "change": _change(test, before, key),
        }
        for key, (name, unit, meaning) in FIGURES.items()
        if test.get(key) is not None
    ]
    points = [
        [name, figure(row.get("median_px")), figure(row.get("rmse_px")), figure(row.get("pck")), row.get("n", "–")]
        for name, row in (test.get("keypoints") or {}).items()
    ]
    judged_on = ""
    if test:
        scope = f"{count(test['n_frames'], 'labelled frame')} with {count(test['n_instances'], 'animal')}"
        judged_on = f"Judged on {scope} from {count(test['n_videos'], 'held-out recording')}."
    chart = by_video_chart(inputs.plot("by_video"), {**SHARES, "pck": "PCK"})
    note = str(test.get("note") or "")
    few = (
        "Intervals from so few recordings are too narrow or do not exist. Label held-out frames of more recordings before you rely on them."
    )
    hint = few if test and not test.get("ci_reliable", True) else ""
    return {
        "headline": cards,
        "judged_on": judged_on,
        "figure_note": note,
        "figure_hint": hint,
        "keypoint_rows": points,
        "by_video_chart": chart if cards else None,
    }


def _change(test: dict[str, Any], before: list[dict[str, Any]], key: str) -> str:
    if not before or before[-1]["metrics"].get(key) is None:
        return ""
    difference = test[key] - before[-1]["metrics"][key]
    if abs(difference) < 5e-4:
        return f"as in {before[-1]['cycle']}"
    better = (difference < 0) == (key in LOWER_IS_BETTER)
    decimals = 2 if FIGURES[key][1] else 3
    return (
        f"{'▲' if difference > 0 else '▼'} {abs(difference):.{decimals}f} since {before[-1]['cycle']} ({'better' if better else 'worse'})"
    )


def learning(inputs: "Inputs", counts: "LabelCounts") -> dict[str, Any]:
    from etholoop.core.cycle_facts import learning_rows
    from etholoop.io.report_html import figure
    from etholoop.stages._report_pictures import learning_chart

    rows = learning_rows(inputs.closed, inputs.cycle.id, inputs.test, counts.n_frames)
    names = {**SHARES, **LENGTHS}
    shown = {key: title for key, title in names.items() if any(row["figures"].get(key) is not None for row in rows)}
    header = ["cycle", "labelled frames", *(f"{title}, px" if key in LENGTHS else title for key, title in shown.items())]
    table = [[row["cycle"], row["n_frames"], *(figure(row["figures"].get(key)) for key in shown)] for row in rows]
    note = "Each point is one cycle, each line its 95 % interval. A fair comparison needs the same test recordings in all cycles."
    if len(rows) == 1:
        note = "One cycle so far; the curve grows with every cycle that is closed."
    return {
        "learning_chart": learning_chart(rows, SHARES, LENGTHS) if rows else None,
        "learning_note": note,
        "learning_header": header,
        "learning_rows": table,
    }


def examples(inputs: "Inputs", pictures: "Pictures", params: Params) -> dict[str, Any]:
    """Held-out frames drawn, and the worst errors; only frames whose image is kept."""
    from etholoop.core.cycle_facts import sample_frames, worst_errors
    from etholoop.core.splits import split_of

    judged = inputs.labelled[inputs.labelled["status"] != "unusable"].merge(inputs.predicted[KEY], on=KEY)
    split = split_of(inputs.splits, judged["video_id"], judged["frame"]) if len(judged) else np.zeros(0, dtype="<U5")
    shown = _with_image(judged[split == "test"], pictures)
    matches = _with_image(inputs.matches[inputs.matches["split"] == "test"], pictures)
    errors = _with_image(inputs.errors[inputs.errors["split"] == "test"], pictures)
    return {
        "samples": [pictures.compared(*place) for place in sample_frames(shown, params.n_samples)],
        "worst": [pictures.error(error) for error in worst_errors(matches, errors, params.n_worst)],
    }


def _with_image(table: pd.DataFrame, pictures: "Pictures") -> pd.DataFrame:
    kept = [pictures.has(video_id, frame) for video_id, frame in table[KEY].itertuples(index=False, name=None)]
    return table[np.array(kept, dtype=bool)]


def curves(inputs: "Inputs") -> dict[str, Any]:
    from etholoop.stages._report_pictures import calibration_chart, pr_chart, training_chart

    trained = len(inputs.predicted) > 0
    found = [pr_chart(inputs.plot("pr_curve")), calibration_chart(inputs.plot("calibration"))] if inputs.test else []
    training = training_chart(inputs.plot("pose_curves")) if trained else None
    charts = [chart for chart in found if chart]
    return {"curves": charts or ([training] if training else []), "training_chart": training if charts else None}


def batch(inputs: "Inputs", pictures: "Pictures") -> dict[str, Any]:
    """The next frames to label, with reasons."""
    from etholoop.io.report_html import count

    table = inputs.batch.sort_values("rank")
    drawn = len(inputs.predicted) > 0
    shown = [pictures.pick(row, drawn) for row in table.head(MAX_THUMBNAILS).to_dict("records")]
    shares = {str(name): int(n) for name, n in table["acquisition"].value_counts().sort_index().items()}
    words = f"{count(len(table), 'frame')}, in the order in which to label them:" if shown else "Nothing: there are no candidates left."
    listed = [_share_words(name, n, str(inputs.selection.get("meaning") or "")) for name, n in shares.items()]
    more = (
        f"The first {MAX_THUMBNAILS} of {len(table)} frames; all are in data/selection/batch.parquet."
        if len(table) > MAX_THUMBNAILS
        else ""
    )
    note = str(inputs.selection.get("note") or "")
    return {"batch": shown, "batch_words": words, "batch_shares": listed, "batch_note": note, "batch_more": more, "batch_drawn": drawn}


def _share_words(name: str, n: int, meaning: str) -> str:
    fixed = {
        "random": "drawn by lot, whatever the model thinks, to see what really occurs",
        "validation": "by lot from the validation groups",
        "random_spaced": "by lot, some distance apart",
    }
    return f"{n} {fixed[name]}" if name in fixed else f"{n} by {name.replace('_', ' ')}{f': {meaning}' if meaning else ''}"


def held_out(inputs: "Inputs", pictures: "Pictures") -> dict[str, Any]:
    from etholoop.core.cycle_facts import sample_frames
    from etholoop.io.report_html import count
    from etholoop.schema.columns import frame_uid

    table = inputs.held_out.sort_values("rank")
    rows = {(row["video_id"], row["frame"]): row for row in table.to_dict("records")}
    shown = [pictures.pick(rows[place], False) for place in sample_frames(table[KEY], HELD_OUT_THUMBNAILS)]
    words = "Done: every frame of the list is labelled."
    if not len(inputs.splits) or not (inputs.splits["split"] == "test").any():
        words = "There are no test recordings, so no model can be judged. See section `split` of params.yaml."
    elif len(table):
        asked = f"{count(len(table), 'frame')} of {count(table['video_id'].nunique(), 'test recording')} wait for labels"
        words = f"{asked}. They judge every model and are never chosen by one, so they are shown without predictions."
    listed = [
        [frame_uid(video_id, frame), session] for video_id, frame, session in table[[*KEY, "session"]].itertuples(index=False, name=None)
    ]
    return {"held_out": shown, "held_out_words": words, "held_out_rows": listed}


def what_went_in(inputs: "Inputs", counts: "LabelCounts") -> dict[str, Any]:
    rows = inputs.splits.merge(inputs.videos[["video_id", "session"]], on="video_id", how="left")
    sampled = _split_of_sampled(inputs)
    recordings = []
    for title, column in (("videos and image folders", "video_id"), ("sessions", "session"), ("groups", "group")):
        recordings.append(
            [title, *(rows.loc[rows["split"] == name, column].nunique() for name in ("train", "val", "test")), rows[column].nunique()]
        )
    recordings.append(["sampled frames", *(int((sampled == name).sum()) for name in ("train", "val", "test")), len(sampled)])
    titles = {
        "frames": "labelled frames",
        "animals": "animals",
        "no_animal": "frames without animals",
        "unusable": "unusable frames",
        "videos": "recordings",
    }
    labels = [[title, *(counts.by_split[name][key] for name in ("train", "val", "test"))] for key, title in titles.items()]
    return {
        "recording_rows": recordings,
        "label_rows": labels,
        "class_rows": [[name, *row.values()] for name, row in counts.by_class.items()],
        "point_rows": [[name, *row.values()] for name, row in counts.by_keypoint.items()],
        "quarantine": inputs.quarantine.sort_values("path").to_dict("records"),
    }


def _split_of_sampled(inputs: "Inputs") -> np.ndarray:
    from etholoop.core.splits import split_of

    return split_of(inputs.splits, inputs.frames["video_id"], inputs.frames["frame"]) if len(inputs.frames) else np.zeros(0, dtype="<U5")


def provenance(inputs: "Inputs") -> dict[str, Any]:
    import yaml

    from etholoop.io.report_html import count
    from etholoop.params import read_yaml

    in_dataset = inputs.dataset["split"].value_counts()
    data = ", ".join(f"{int(in_dataset[name])} {name}" for name in ("train", "val", "test") if name in in_dataset) or "empty"
    notes = [note for record in (inputs.model, inputs.training, inputs.refining) for note in _notes(record)]
    facts = [
        ("splits", inputs.mode),
        ("training data", f"{data} ({count(len(inputs.dataset), 'image')})"),
        ("model", _model_words(inputs.model)),
        ("weights", f"SHA-256 {inputs.weights_digest}" if inputs.weights_digest else "none"),
        *(("training", note) for note in dict.fromkeys(notes)),
        ("batch chosen by", str(inputs.selection.get("acquisition", "–"))),
        ("closed cycles", ", ".join(closed["cycle"] for closed in inputs.closed if closed["cycle"] != inputs.cycle.id) or "none"),
    ]
    text = yaml.safe_dump(read_yaml(inputs.project.params), sort_keys=True, allow_unicode=True)
    return {"gates": [_gate(name, content) for name, content in inputs.gates.items()], "facts": facts, "parameters": text}


def _model_words(status: dict[str, Any]) -> str:
    if not status.get("trained"):
        return "none"
    starts = {
        "base": "from the same base weights as in every cycle",
        "previous": "from the champion of the cycles before",
        "scratch": "from scratch",
    }
    return f"{status.get('detector', 'detector')}, trained {starts.get(str(status.get('init')), '')}"


def _notes(record: dict[str, Any]) -> list[str]:
    notes = record.get("notes")
    return [str(note) for note in notes] if isinstance(notes, list) else []


def _gate(name: str, content: dict[str, Any]) -> dict[str, Any]:
    """One row of the table of gates. A gate with an override is green only because of it, and says so."""
    if not content:
        return {"name": name, "result": "not run", "colour": "red", "counts": "", "remarks": []}
    counts = ", ".join(f"{n} {key.removeprefix('n_').replace('_', ' ')}" for key, n in sorted(content.get("counts", {}).items()))
    remarks = [f"override of {rule}: {override['reason']}" for rule, override in sorted(content.get("overrides", {}).items())]
    remarks += [f"{warning['n']} × {warning['meaning']}" for _, warning in sorted(content.get("warnings", {}).items()) if warning["n"]]
    remarks += [str(note) for note in content.get("notes", [])]
    green = bool(content.get("success"))
    return {
        "name": name,
        "result": "green" if green else "red",
        "colour": "green" if green else "red",
        "counts": counts,
        "remarks": remarks,
    }
