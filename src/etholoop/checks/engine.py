"""Asking Great Expectations, and making its answer small, stable and readable.

A gate is a set of tables with rules. Rules that need more than one table are worked out in pandas first, as a column of the
table: true/false (:func:`is_true`), or a text that says what is wrong with the row, empty when nothing is (:func:`no_fault`).
Missing values are faults here, although Great Expectations leaves them out by itself.
"""

import copy
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

# analytics are on by default, and for a context without files this variable is the only way to switch them off
os.environ["GX_ANALYTICS_ENABLED"] = "false"

import great_expectations as gx
from great_expectations import expectations as gxe

from etholoop.errors import EthoLoopError
from etholoop.params import nearest

SHOWN = 20
"""Bad rows kept in the gate's report and printed."""


@dataclass(frozen=True)
class Rule:
    """One question; ``meaning`` is the expected state in words, with what to do if it is not met."""

    name: str
    meaning: str
    expectation: Any


@dataclass(frozen=True)
class Table:
    """Rows to be questioned. ``file`` is where people find them; ``keys`` are the columns that tell which row is meant."""

    rows: pd.DataFrame
    file: str
    keys: tuple[str, ...]
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Warn:
    """Something worth a look that stops nothing."""

    meaning: str
    rows: pd.DataFrame


@dataclass(frozen=True)
class Gate:
    """Everything a gate asks. ``overrides`` maps rule names to the reason why their failure does not stop the pipeline."""

    name: str
    tables: Mapping[str, Table]
    counts: Mapping[str, int] = field(default_factory=dict)
    warnings: Mapping[str, Warn] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GateResult:
    """The answer. ``tables`` maps table → rule → outcome; an outcome's ``bad`` lists every bad row."""

    gate: Gate
    tables: Mapping[str, Mapping[str, dict[str, Any]]]

    @property
    def success(self) -> bool:
        return not self.failed

    @property
    def failed(self) -> list[tuple[str, str]]:
        """(table, rule) of every rule that stops the pipeline."""
        rules = [(table, rule, outcome) for table, outcomes in self.tables.items() for rule, outcome in outcomes.items()]
        return [(table, rule) for table, rule, outcome in rules if not outcome["success"] and rule not in self.gate.overrides]

    def content(self, shown: int | None = SHOWN) -> dict[str, Any]:
        """What is written as JSON: no times, no ids, at most ``shown`` bad rows of each rule (None = all)."""
        gate = self.gate
        failed_rules = {rule for outcomes in self.tables.values() for rule, outcome in outcomes.items() if not outcome["success"]}
        return {
            "gate": gate.name,
            "success": self.success,
            "counts": dict(gate.counts),
            "tables": {table: {rule: _shortened(o, shown) for rule, o in outcomes.items()} for table, outcomes in self.tables.items()},
            "warnings": {
                name: {"n": len(w.rows), "meaning": w.meaning, "first": _records(w.rows.head(SHOWN))} for name, w in gate.warnings.items()
            },
            "notes": list(gate.notes),
            "overrides": {name: {"reason": why, "needed": name in failed_rules} for name, why in gate.overrides.items()},
        }

    def failures_text(self) -> str:
        """A table of what failed, in which file and row."""
        lines = [f"gate '{self.gate.name}' is red: {len(self.failed)} rule{'s' * (len(self.failed) != 1)} not met"]
        for table, rule in self.failed:
            outcome = self.tables[table][rule]
            lines.append(f"\n{self.gate.tables[table].file} · {rule}: {outcome['n_bad']} of {outcome['n_checked']} rows are bad")
            lines.append(f"  expected: {outcome['meaning']}")
            if outcome["bad"]:
                lines += ["  " + line for line in _as_text(outcome["bad"][:SHOWN]).splitlines()]
            if len(outcome["bad"]) > SHOWN:
                lines.append(f"  … and {len(outcome['bad']) - SHOWN} more")
        return "\n".join(lines)


def rule(name: str, meaning: str, expectation_class: type, **arguments: Any) -> Rule:
    """A rule from any built-in expectation."""
    return Rule(name, meaning, expectation_class(**arguments, meta={"rule": name}, description=meaning))


def is_true(name: str, meaning: str) -> Rule:
    """The boolean column ``name`` is true in every row."""
    return rule(name, meaning, gxe.ExpectColumnValuesToBeInSet, column=name, value_set=[True])


def no_fault(name: str, meaning: str) -> Rule:
    """The text column ``name`` is empty in every row; elsewhere it says what is wrong."""
    return rule(name, meaning, gxe.ExpectColumnValuesToBeInSet, column=name, value_set=[""])


def run_gate(gate: Gate) -> GateResult:
    """Ask everything.

    Raises:
        EthoLoopError: an override of a rule that this gate does not have, or a rule that could not be asked at all.
    """
    _check_overrides(gate)
    context = new_context()
    source = context.data_sources.add_pandas(gate.name)
    answers = {}
    for name, table in gate.tables.items():
        batch = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all").get_batch({"dataframe": numbered(table)})
        answer = batch.validate(suite_of(gate.name, name, table), result_format=result_format(table))
        answers[name] = _outcomes(gate, name, table, answer)
    return GateResult(gate, answers)


def _check_overrides(gate: Gate) -> None:
    known = [r.name for table in gate.tables.values() for r in table.rules]
    for name in gate.overrides:
        if name not in known and known:
            raise EthoLoopError(f"check_{gate.name}.overrides: gate '{gate.name}' has no rule '{name}'; {nearest(name, known)}")


def new_context() -> Any:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False, "metric_calculations": False}
    return context


def numbered(table: Table) -> pd.DataFrame:
    """The rows with their number in the file, counted from 0."""
    rows = table.rows.reset_index(drop=True)
    return rows.assign(row=np.arange(len(rows)))


def suite_of(gate: str, name: str, table: Table) -> Any:
    return gx.ExpectationSuite(name=f"{gate}.{name}", expectations=[copy.copy(r.expectation) for r in table.rules])


def result_format(table: Table) -> dict[str, Any]:
    return {"result_format": "COMPLETE", "unexpected_index_column_names": ["row", *table.keys]}


def _outcomes(gate: Gate, name: str, table: Table, answer: Any) -> dict[str, dict[str, Any]]:
    results = {result.expectation_config.meta["rule"]: result for result in answer.results}
    outcomes = {}
    for asked in table.rules:
        result = results[asked.name]
        problem = _exception_message(result.exception_info)
        if problem:
            raise EthoLoopError(f"gate '{gate.name}': rule {asked.name} of {name} could not be asked: {problem}")
        outcomes[asked.name] = _outcome(asked, table, result)
        if asked.name in gate.overrides:
            outcomes[asked.name]["overridden"] = True
    return outcomes


def _exception_message(info: Mapping[str, Any]) -> str:
    """Why a rule could not be asked, '' = it could; the library gives one entry, or one for each figure it needed."""
    entries = [info] if "raised_exception" in info else list(info.values())
    return "; ".join(str(entry["exception_message"]) for entry in entries if entry["raised_exception"])


def _outcome(asked: Rule, table: Table, result: Any) -> dict[str, Any]:
    config, found = result.expectation_config, result.result
    n_missing = 0 if asked.expectation.expectation_type.endswith("_not_be_null") else int(found.get("missing_count") or 0)
    bad = [_reduced(row, table.keys) for row in found.get("unexpected_index_list") or []]
    bad += _missing_rows(config.kwargs.get("column"), table) if n_missing else []
    n_bad = int(found.get("unexpected_count") or 0) + n_missing if "unexpected_count" in found else int(not result.success)
    return {
        "meaning": asked.meaning,
        "expectation": config.type,
        "column": config.kwargs.get("column") or "+".join(config.kwargs.get("column_list") or []) or None,
        "success": bool(result.success) and not n_missing,
        "n_checked": int(found.get("element_count", len(table.rows))),
        "n_bad": n_bad,
        "bad": sorted(bad, key=lambda row: row["row"]),
    }


def _missing_rows(column: str | None, table: Table) -> list[dict[str, Any]]:
    rows = numbered(table)
    missing = rows[rows[column].isna()] if column else rows.iloc[:0]
    return _records(missing[list(dict.fromkeys(["row", *table.keys, *([column] if column else [])]))])


def _reduced(row: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    """A bad row: its number, its keys, then the value; without true/false columns, which say no more than the rule's name."""
    plain = {key: _plain(value) for key, value in row.items() if not isinstance(value, bool | np.bool_)}
    return {key: plain[key] for key in ("row", *keys) if key in plain} | plain


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): _plain(value) for key, value in row.items()} for row in rows.to_dict("records")]


def _plain(value: Any) -> Any:
    """A value that JSON knows: missing is null, floats have six decimals."""
    if value is None or value is pd.NA:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None if math.isnan(value) else str(value)
    return value


def _shortened(outcome: dict[str, Any], shown: int | None) -> dict[str, Any]:
    rest = {key: value for key, value in outcome.items() if key != "bad"}
    return rest | ({"first_bad" if shown is not None else "bad": outcome["bad"][:shown]} if outcome["bad"] else {})


def _as_text(rows: list[dict[str, Any]]) -> str:
    table = pd.DataFrame(rows).astype(object)
    order = ["row", *[column for column in table.columns if column != "row"]]
    with pd.option_context("display.max_colwidth", 100):
        return str(table[order].to_string(index=False, na_rep="missing"))
