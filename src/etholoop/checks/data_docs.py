"""Data Docs: Great Expectations' own static pages of all gates, made to work offline.

The pages that the library writes load scripts, styles and pictures from eight hosts each time they are opened, and its start
page stays empty without them. Those references and all scripts are cut out, a small style sheet is put in, and the start page
is written here. The pages carry times, so they are built on demand and kept by nobody.
"""

import html
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import great_expectations as gx

from etholoop.checks.engine import Gate, new_context, numbered, result_format, suite_of

STYLE = """<style>
body{font-family:sans-serif;margin:2rem auto;max-width:75rem;color:#222;background:#fff}
table{border-collapse:collapse;margin:.5rem 0}td,th{border:1px solid #ccc;padding:.3rem .6rem;text-align:left;vertical-align:top}
.row{display:flex;flex-wrap:wrap;gap:1rem}
.col-lg-2,.col-md-2{min-width:14rem}.badge{background:#eee;padding:.1rem .4rem;border-radius:.3rem}
.fa-check-circle::before{content:"✔";color:#187a2f}.fa-times::before{content:"✘";color:#b3261e}.modal,.navbar button{display:none}
</style>"""
OUTSIDE = r"https?://"


def build_data_docs(folder: Path, gates: Iterable[Gate]) -> Path:
    """Write the pages into ``folder`` and return the start page; red gates are shown like green ones."""
    for old in ("validations", "expectations"):
        shutil.rmtree(folder / old, ignore_errors=True)
    context = new_context()
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.resolve())}
    context.add_data_docs_site(
        "gates", {"class_name": "SiteBuilder", "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"}, "store_backend": store}
    )
    lines = []
    for gate in gates:
        source = context.data_sources.add_pandas(gate.name)
        for name, table in gate.tables.items():
            definition = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
            suite = context.suites.add(suite_of(gate.name, name, table))
            validation = context.validation_definitions.add(
                gx.ValidationDefinition(name=f"{gate.name}.{name}", data=definition, suite=suite)
            )
            checkpoint = gx.Checkpoint(name=f"{gate.name}.{name}", validation_definitions=[validation], result_format=result_format(table))
            answer = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": numbered(table)})
            lines.append((gate.name, name, bool(answer.success)))
    context.build_data_docs(site_names=["gates"])
    for page in folder.rglob("*.html"):
        page.write_text(without_outside_references(page.read_text(encoding="utf-8")), encoding="utf-8")
    start = folder / "index.html"
    start.write_text(_start_page(folder, lines), encoding="utf-8")
    return start


def _start_page(folder: Path, lines: list[tuple[str, str, bool]]) -> str:
    """All tables of all gates with their result and the newest page about each."""
    rows = []
    for gate, table, success in lines:
        page = max((folder / "validations" / gate / table).rglob("*.html"))
        link = html.escape(page.relative_to(folder).as_posix())
        result = "✔ all rules met" if success else "✘ rules not met"
        rows.append(f'<tr><td>{html.escape(gate)}</td><td><a href="{link}">{html.escape(table)}</a></td><td>{result}</td></tr>')
    head = f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Gates</title>{STYLE}</head>'
    body = "<h1>Gates</h1><table><tr><th>gate</th><th>table</th><th>result</th></tr>"
    return f"{head}<body>{body}{''.join(rows)}</table></body></html>\n"


def without_outside_references(page: str) -> str:
    """The page without scripts and without anything a browser would fetch from elsewhere, and with a style of its own."""
    page = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    page = re.sub(rf"<link[^>]*\shref=[\"']{OUTSIDE}[^>]*>", "", page)
    page = re.sub(rf"<(img|iframe)[^>]*\ssrc=[\"']{OUTSIDE}[^>]*>", "", page)
    page = re.sub(rf"<form[^>]*\saction=[\"']{OUTSIDE}.*?</form>", "", page, flags=re.DOTALL)
    page = re.sub(rf"url\([\"']?{OUTSIDE}[^)]*\)", "none", page)
    return page.replace("</head>", f"{STYLE}</head>", 1)
