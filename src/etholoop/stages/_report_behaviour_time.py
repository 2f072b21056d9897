"""Ethograms and time budgets of the report."""

from collections.abc import Sequence
from typing import Any

from etholoop.core.behaviour_facts import LABELLED, AnimalTime, animal_time, budgets, lanes_of, middle_of, spread
from etholoop.io import behaviour_charts
from etholoop.io.report_html import Picture, count, data_uri
from etholoop.stages._report_behaviour_inputs import Behaviour

KEY = ["video_id", "track"]
MOST_BOUTS = 150
"""Bouts of one animal that can be told apart in the width of the page; of more the middle of the time is shown."""


def animals_of(found: Behaviour, n_animals: int) -> tuple[list[AnimalTime], list[AnimalTime]]:
    """Animals that are drawn, and all that judge. Without labelled held-out ones those with most bouts are drawn."""
    known = (found.labels, found.bouts, found.unsure)
    keys = (found.labels if len(found.labels) else found.bouts).groupby(KEY, sort=True).size().rename("weight").reset_index()
    by_animal = [dict(iter(table.groupby(KEY))) for table in known]
    drawn = set(spread(keys, n_animals))
    shown, judging = [], []
    for video_id, track in keys[KEY].itertuples(index=False, name=None):
        key = (str(video_id), int(track))
        labels, bouts, unsure = (part.get(key, table.iloc[:0]) for part, table in zip(by_animal, known, strict=True))
        rows = {"labels": labels, "bouts": bouts, "unsure": unsure}
        animal = animal_time(key, found.subjects.get(key, ""), **rows, behaviours=found.behaviours, families=found.families)
        shown += [animal] if key in drawn else []
        judging += [animal] if len(labels) else []
    return sorted(shown, key=lambda animal: (animal.video_id, animal.subject, animal.start_frame, animal.track)), judging


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
