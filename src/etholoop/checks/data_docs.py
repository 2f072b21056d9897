"""Data Docs: Great Expectations' own static pages of all gates, made to work offline.

The pages that the library writes load scripts, styles and pictures from eight hosts each time they are opened; those references
are cut out and a small style sheet is put in. The pages carry times, so they are built on demand and kept by nobody.
"""

import re
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
    context = new_context()
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.resolve())}
    context.add_data_docs_site(
        "gates", {"class_name": "SiteBuilder", "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"}, "store_backend": store}
    )
    for gate in gates:
        source = context.data_sources.add_pandas(gate.name)
        for name, table in gate.tables.items():
            definition = source.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all")
            suite = context.suites.add(suite_of(gate.name, name, table))
            validation = context.validation_definitions.add(
                gx.ValidationDefinition(name=f"{gate.name}.{name}", data=definition, suite=suite)
            )
            checkpoint = gx.Checkpoint(name=f"{gate.name}.{name}", validation_definitions=[validation], result_format=result_format(table))
            context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": numbered(table)})
    context.build_data_docs(site_names=["gates"])
    for page in folder.rglob("*.html"):
        page.write_text(without_outside_references(page.read_text(encoding="utf-8")), encoding="utf-8")
    return folder / "index.html"


def without_outside_references(html: str) -> str:
    """The page without anything a browser would fetch from elsewhere, and with a style of its own."""
    html = re.sub(rf"<script[^>]*\ssrc=[\"']{OUTSIDE}[^>]*>.*?</script>", "", html, flags=re.DOTALL)
    html = re.sub(rf"<link[^>]*\shref=[\"']{OUTSIDE}[^>]*>", "", html)
    html = re.sub(rf"<(img|iframe)[^>]*\ssrc=[\"']{OUTSIDE}[^>]*>", "", html)
    html = re.sub(rf"<form[^>]*\saction=[\"']{OUTSIDE}.*?</form>", "", html, flags=re.DOTALL)
    html = re.sub(rf"url\([\"']?{OUTSIDE}[^)]*\)", "none", html)
    return html.replace("</head>", f"{STYLE}</head>", 1)
