"""``reconciler lint``: finds what is valid but probably a mistake."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

from reconciler.bulk import no_garbage_collection
from reconciler.catalog import environments
from reconciler.catalog.budget import ONE_BY_ONE, Budget
from reconciler.catalog.load import load, open_root
from reconciler.catalog.loaded import Loaded
from reconciler.language_models import Models, shipped
from reconciler.lint.ignore import Comments
from reconciler.lint.read import read_written
from reconciler.lint.report import MAX_FINDINGS, Finding, Report, report_to_document
from reconciler.lint.rules import MISTAKES, RULES, SEVERITIES, Rule, Severity
from reconciler.lint.secrets import masked
from reconciler.lint.slips import may_have_slips
from reconciler.lint.subject import Subject
from reconciler.values import JSON

__all__ = [
    "MISTAKES",
    "RULES",
    "SEVERITIES",
    "Finding",
    "Report",
    "Rule",
    "Severity",
    "count_mistakes",
    "lint",
    "report_to_document",
]


@no_garbage_collection()
def lint(
    root: Path,
    environment: str | None = None,
    variables: Mapping[str, JSON] | None = None,
    models: Models | None = None,
    *,
    rules: Collection[str] = RULES.keys(),
) -> Report:
    """Check a catalog with all rules that its ``lint:`` block does not turn off.

    Args:
        environment: one of the catalog's environments; None checks all that it declares.
        variables: as for :func:`reconciler.load_catalog`.
        models: the known models; None means those known at release.
        rules: the names of the rules to check.

    Raises:
        CatalogError: it can't be loaded.
    """
    names: list[str | None] = [environment] if environment else [*environments(root)] or [None]
    budget = Budget(ONE_BY_ONE if len(names) > 1 else "")
    folder = open_root(root)  # shared, so that looking for files is limited for all environments together
    loaded = [load(folder, name, variables, budget) for name in names]
    written = read_written(root, loaded[0].manifests)
    comments = Comments(written.documents)
    subjects = [Subject(one, written, comments, models or shipped()) for one in loaded]
    given = written.documents[0].document.get("lint", {})
    found: dict[
        Finding, None
    ] = {}  # what many sessions inherit is found once for each of them, and reported once
    ignored: dict[Finding, None] = {}
    cut: list[str] = []
    line = shown = ""
    for rule in RULES.values():
        severity: Severity = given.get(rule.name, rule.severity)
        options = {**rule.options, **given.get("options", {}).get(rule.name, {})}
        if severity == "off" or rule.name not in rules:
            continue
        if cut and rule.name == "unused-ignore":  # what was not looked for may be ignored by a comment
            continue
        before = len(found)
        for spot, message, hint in chain.from_iterable(rule.check(subject, options) for subject in subjects):
            problem = spot.at.file.source.at(spot.at.char, message, hint)
            if problem.source is not line:  # the findings of a line share its text, which may be long
                line, shown = problem.source, masked(problem.source)
            problem = replace(problem, source=shown)
            finding = Finding(rule.name, severity, problem)
            (ignored if comments.ignore(rule.name, spot) else found)[finding] = None
            if len(found) - before >= MAX_FINDINGS:
                cut.append(rule.name)
                break
    ordered = sorted(found, key=lambda finding: (*finding.problem.order, finding.rule))
    sessions = {key for one in loaded for key in one.catalog.sessions}
    return Report(
        loaded[0].catalog.name, len(sessions), subjects[0].models, tuple(ordered), len(ignored), tuple(cut)
    )


def count_mistakes(loaded: Loaded, variables: Mapping[str, JSON] | None = None) -> int:
    """How many findings ``reconciler validate`` has in the environment of a loaded catalog.

    Most catalogs have none, which takes no second reading to see.
    """
    if not may_have_slips(loaded, shipped()):
        return 0
    report = lint(Path(loaded.root.folder), loaded.environment.name, variables, rules=MISTAKES)
    return len(report.findings)
