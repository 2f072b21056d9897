import json
import re
import time

import numpy as np
import pandas as pd
import pytest

from etholoop.checks.data_docs import build_data_docs, without_outside_references
from etholoop.checks.engine import Gate, Table, Warn, gxe, is_true, no_fault, rule, run_gate
from etholoop.errors import EthoLoopError

ROWS = pd.DataFrame(
    {
        "video_id": ["a", "b", "c", "c"],
        "x": [1.0, np.nan, -2.0, 3.0],
        "good": [True, True, False, True],
        "fault": ["", "", "", "runs backwards"],
    }
)
RULES = (
    rule("x_positive", "x above 0", gxe.ExpectColumnValuesToBeBetween, column="x", min_value=0),
    is_true("good", "good rows"),
    no_fault("fault", "rows without fault"),
    rule("id_is_unique", "one row per id", gxe.ExpectColumnValuesToBeUnique, column="video_id"),
    rule("pair_is_unique", "one row per id and x", gxe.ExpectCompoundColumnsToBeUnique, column_list=["video_id", "x"]),
    rule("enough", "five rows", gxe.ExpectTableRowCountToBeBetween, min_value=5),
)


def gate(rows=ROWS, rules=RULES, **more):
    return Gate("test", {"things": Table(rows, "data/things.parquet", ("video_id",), rules)}, **more)


def outcomes(**arguments):
    return run_gate(gate(**arguments)).content()["tables"]["things"]


def test_every_kind_of_rule_names_its_rows():
    found = outcomes()
    assert found["x_positive"]["first_bad"] == [{"row": 1, "video_id": "b", "x": None}, {"row": 2, "video_id": "c", "x": -2.0}]
    assert (found["x_positive"]["n_bad"], found["x_positive"]["n_checked"]) == (2, 4)
    assert found["good"]["first_bad"] == [{"row": 2, "video_id": "c"}]
    assert found["fault"]["first_bad"] == [{"row": 3, "video_id": "c", "fault": "runs backwards"}]
    assert [row["row"] for row in found["id_is_unique"]["first_bad"]] == [2, 3]
    assert found["pair_is_unique"]["success"]
    assert "first_bad" not in found["pair_is_unique"]
    assert (found["enough"]["success"], found["enough"]["n_bad"], found["enough"]["column"]) == (False, 1, None)
    assert found["x_positive"]["expectation"] == "expect_column_values_to_be_between"


def test_a_missing_value_is_a_fault_even_where_nothing_else_is():
    found = outcomes(rows=ROWS.iloc[:2])
    assert (found["x_positive"]["success"], found["x_positive"]["n_bad"]) == (False, 1)


def test_no_rows_are_good_unless_their_number_is_asked_for():
    assert [name for name, outcome in outcomes(rows=ROWS.iloc[:0]).items() if not outcome["success"]] == ["enough"]


def test_text_tells_file_rule_row_and_what_was_expected():
    text = run_gate(gate()).failures_text()
    assert "gate 'test' is red: 5 rules not met" in text
    assert "data/things.parquet · fault: 1 of 4 rows are bad\n  expected: rows without fault" in text
    assert re.search(r"3\s+c\s+runs backwards", text)


def test_answer_is_json_without_times_and_the_same_twice():
    texts = [json.dumps(run_gate(gate(counts={"n": 4})).content(), sort_keys=True, allow_nan=False) for _ in range(2)]
    assert texts[0] == texts[1]
    assert not re.search(r"20\d\d-|run_id|batch_id|meta", texts[0])


def test_warnings_stop_nothing():
    result = run_gate(gate(rows=ROWS.iloc[[0]], rules=RULES[:3], warnings={"odd": Warn("worth a look", ROWS[["video_id", "x"]])}))
    assert result.success
    assert result.content()["warnings"]["odd"]["n"] == 4
    assert result.content()["warnings"]["odd"]["first"][1] == {"video_id": "b", "x": None}


def test_override_lets_a_rule_fail_and_is_kept():
    result = run_gate(gate(rules=RULES[1:3], overrides={"good": "known", "fault": "known too"}))
    assert result.success
    assert not result.tables["things"]["good"]["success"]
    assert result.content()["overrides"]["good"] == {"reason": "known", "needed": True}
    unneeded = run_gate(gate(rows=ROWS.iloc[:2], rules=RULES[1:3], overrides={"good": "known"}))
    assert unneeded.content()["overrides"]["good"]["needed"] is False


def test_override_of_an_unknown_rule_names_the_nearest():
    with pytest.raises(EthoLoopError, match="did you mean 'fault'"):
        run_gate(gate(overrides={"faullt": "known"}))


def test_rule_on_a_column_that_is_not_there_is_an_error_and_not_an_answer():
    with pytest.raises(EthoLoopError, match="could not be asked"):
        run_gate(gate(rules=(is_true("absent", "x"),)))


def test_data_docs_work_offline(tmp_path):
    start = build_data_docs(tmp_path / "docs", [gate()])
    text = start.read_text()
    link = re.search(r'href="(validations/test/things/[^"]+)"', text)[1]
    assert "rules not met" in text
    assert "runs backwards" in (start.parent / link).read_text()
    for page in start.parent.rglob("*.html"):
        text = page.read_text()
        assert "<script" not in text
        assert not re.findall(r"<(?:link|img|iframe|form)[^>]*https?://", text)
        assert not re.findall(r"url\([\"']?https?://", text)


def test_links_to_own_pages_stay():
    html = '<head><script src="https://x.org/a.js"></script></head><a href="page.html">p</a>'
    assert without_outside_references(html).endswith('</head><a href="page.html">p</a>')
    assert "x.org" not in without_outside_references(html)


def test_a_hundred_thousand_rows_take_seconds():
    n = 100_000
    rows = pd.DataFrame({"video_id": [f"v{i}" for i in range(n)], "x": 1.0, "good": True, "fault": ""})
    start = time.process_time()
    assert run_gate(gate(rows=rows)).success
    assert time.process_time() - start < 10
