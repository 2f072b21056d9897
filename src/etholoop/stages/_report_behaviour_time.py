"""Ethograms and time budgets of the report."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from etholoop.core.behaviour_facts import KEY, LABELLED, AnimalTime, animal_time, budgets, keys_of, lanes_of, middle_of, spread
from etholoop.io import behaviour_charts
from etholoop.io.report_html import Picture, count, data_uri
from etholoop.stages._report_behaviour_inputs import Behaviour

MOST_BOUTS = 150
"""Bouts of one animal that can be told apart in the width of the page; of more the middle of the time is shown."""


def animals_of(found: Behaviour, n_animals: int) -> tuple[list[AnimalTime], list[AnimalTime]]:
    """Animals that are drawn, and all that judge. Without labelled held-out ones those with most bouts are drawn.

    A track that was several animals one after the other is one row for each of them.
    """
    labels = found.labels
    keys = (labels if len(labels) else _named(found.bouts, found)).groupby(KEY, sort=True).size().rename("weight").reset_index()
    own_labels = dict(iter(labels.groupby(KEY)))
    bouts, unsure = (dict(iter(table.groupby(["video_id", "track"]))) for table in (found.bouts, found.unsure))
    drawn = set(spread(keys, n_animals))
    shown, judging = [], []
    for key in keys_of(keys):
        rows = {"labels": own_labels.get(key, labels.iloc[:0])}
        rows |= {"bouts": bouts.get(key[:2], found.bouts.iloc[:0]), "unsure": unsure.get(key[:2], found.unsure.iloc[:0])}
        animal = animal_time(key, **rows, behaviours=found.behaviours, families=found.families, others=found.others_than(key))
        shown += [animal] if key in drawn else []
        judging += [animal] if len(labels) else []
    return sorted(shown, key=lambda animal: (animal.video_id, animal.subject, animal.start_frame, animal.track)), judging


def _named(bouts: pd.DataFrame, found: Behaviour) -> pd.DataFrame:
    """Bouts of tracks with the subjects that the tracks were, each bout once for each of them."""
    named = bouts.merge(found.stretches[KEY].drop_duplicates(), on=["video_id", "track"], how="left")
    return named.assign(subject=named["subject"].fillna(""))


def ethogram_of(found: Behaviour, animals: Sequence[AnimalTime]) -> dict[str, Any]:
    if not animals:
        return {"ethogram": None, "ethogram_words": ""}
    whole, animals = animals, [middle_of(animal, MOST_BOUTS) for animal in animals]
    lanes = lanes_of(whole, found.behaviours)
    picture = behaviour_charts.ethogram(animals, lanes, found.behaviours, found.seconds)
    who = ", ".join(behaviour_charts.title_of(animal) for animal in animals)
    rows = "what each family says; nobody marked bouts here"
    if LABELLED in animals[0].said:
        rows = "what people marked above what each family says" if found.families else "as people marked them"
    words = f"{count(len(animals), 'animal')}, {rows}."
    if any(animal.part_of for animal in animals):
        words += " Where there are too many bouts to be seen, only the middle of the time is drawn."
    return {"ethogram": Picture(data_uri(picture), f"Ethograms of {who}: {rows}."), "ethogram_words": words}


def budgets_of(found: Behaviour, animals: Sequence[AnimalTime]) -> dict[str, Any]:
    if not animals or not found.families:
        return {"budgets": None, "budget_header": [], "budget_rows": []}
    shares = budgets(animals, found.behaviours, found.families)
    rows = [[name, *(f"{100 * share[k]:.1f} %" for share in shares.values())] for k, name in enumerate(found.behaviours)]
    words = "; ".join(f"{row[0]} {', '.join(f'{source} {cell}' for source, cell in zip(shares, row[1:], strict=True))}" for row in rows)
    picture = Picture(data_uri(behaviour_charts.budgets(found.behaviours, shares)), f"Shares of the labelled time: {words}.")
    return {"budgets": picture, "budget_header": ["behaviour", *shares], "budget_rows": rows}
