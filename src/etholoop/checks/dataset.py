"""Gate ``dataset``: is every image of the training set readable and labelled in full, and can no figure be won by leaking?"""

from collections.abc import Mapping, Sequence

import pandas as pd

from etholoop.checks.engine import Gate, Table, gxe, no_fault, rule
from etholoop.core.leaks import RULES as LEAK_RULES
from etholoop.schema.columns import frame_uid

FILE = "data/datasets/pose/index.parquet"
LEAKS = {
    "same_group": "each group (session, animal, block) in one split only",
    "neighbours": "frames of one recording in different splits far enough apart",
    "near_duplicate": "no image of one split that looks like one of another",
    "same_bytes": "no image file in two splits",
}


def gate(
    index: pd.DataFrame,
    *,
    image_faults: Sequence[str],
    label_faults: Sequence[str],
    leaks: pd.DataFrame,
    split_faults: Sequence[str],
    required_splits: Sequence[str],
    overrides: Mapping[str, str],
) -> Gate:
    """Questions about schema.dataset.PoseDataset.

    Args:
        image_faults: per row why its image cannot be used, '' = it can.
        label_faults: per row what is wrong with its label file, '' = nothing.
        leaks: rows of core.leaks.find_leaks.
        split_faults: what keeps the table of splits from serving, see core.splits.split_faults.
        required_splits: splits that need at least one labelled image once there are any.
        overrides: rule → reason.
    """
    rows = index.reset_index(drop=True).assign(image_reads=list(image_faults), label_fits=list(label_faults))
    places = {uid: number for number, uid in enumerate(_uids(rows))}
    for name in LEAK_RULES:
        rows[name] = _leak_texts(leaks[leaks["rule"] == name], places, len(rows))
    rules = (
        rule("frame_is_unique", "one image per frame", gxe.ExpectCompoundColumnsToBeUnique, column_list=["video_id", "frame"]),
        no_fault("image_reads", "an image file that decodes and has the size the index says"),
        no_fault("label_fits", "a label file with one full line per animal and shares between 0 and 1"),
        *(no_fault(name, LEAKS.get(name, name) + "; or a recorded override with a reason") for name in LEAK_RULES),
    )
    tables = {
        "index": Table(rows, FILE, ("video_id", "frame", "split", "group"), rules),
        "splits": _splits_table(rows, split_faults, required_splits),
    }
    counts = {"n_images": len(rows), "n_instances": int(rows["n_instances"].sum()), "n_leaks": len(leaks)}
    counts |= {f"n_{name}": int((rows["split"] == name).sum()) for name in ("train", "val", "test")}
    notes = tuple(_unlabelled(counts)) if len(rows) else ("no labelled images yet", *split_faults)
    return Gate("dataset", tables, counts, {}, notes, dict(overrides))


def _unlabelled(counts: Mapping[str, int]) -> list[str]:
    """What the lack of labels in a split means for the figures."""
    meaning = {
        "val": "no labelled images in val: training cannot stop early and keeps its last weights",
        "test": "no labelled images in test: nothing can be judged; label the frames of data/selection/held_out.parquet",
    }
    return [text for name, text in meaning.items() if not counts[f"n_{name}"]]


def _uids(rows: pd.DataFrame) -> list[str]:
    return [frame_uid(video_id, frame) for video_id, frame in zip(rows["video_id"], rows["frame"], strict=True)]


def _leak_texts(leaks: pd.DataFrame, places: Mapping[str, int], n: int) -> list[str]:
    """For each image the image of an earlier split that it leaks from, with the reason; '' = none."""
    texts = [""] * n
    for leak in leaks.to_dict("records"):
        place = places[frame_uid(leak["video_b"], leak["frame_b"])]
        texts[place] = texts[place] or f"{frame_uid(leak['video_a'], leak['frame_a'])} in {leak['split_a']}: {leak['detail']}"
    return texts


def _splits_table(rows: pd.DataFrame, split_faults: Sequence[str], required: Sequence[str]) -> Table:
    """One row per required split; nothing is asked before there are labels."""
    n_images = rows["split"].value_counts()
    remedy = "label frames of it (test: the list data/selection/held_out.parquet)"
    table = pd.DataFrame(
        {
            "split": list(required),
            "split_present": ["" if n_images.get(name, 0) else f"no labelled image in {name}: {remedy}" for name in required],
            "recordings_suffice": "; ".join(split_faults),
        }
    )
    table = table if len(rows) else table.iloc[:0]
    rules = (
        no_fault("split_present", "labelled images in each split"),
        no_fault("recordings_suffice", "enough groups for all splits; a single recording is split with split.mode: blocks"),
    )
    return Table(table, "data/splits/splits.parquet", ("split",), rules)
