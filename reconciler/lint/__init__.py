"""``reconciler lint``: what is valid, but most likely a mistake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from reconciler.catalog import environments
from reconciler.catalog.load import loaded
from reconciler.errors import Problem
from reconciler.language_models import Models, shipped
from reconciler.lint.document import report_to_document as report_to_document
from reconciler.lint.ignore import Comments
from reconciler.lint.read import read_written
from reconciler.lint.rules import RULES, SEVERITIES, Rule, Severity, Subject
from reconciler.lint.secrets import masked
from reconciler.values import JSON

__all__ = ["RULES", "SEVERITIES", "Finding", "Report", "Rule", "Severity", "lint", "report_to_document"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A violation of a rule, and its severity."""

    rule: str
    severity: Severity
    problem: Problem


@dataclass(frozen=True, slots=True)
class Report:
    """All findings, by file and line. ``ignored`` counts those that a comment suppresses."""

    catalog: str
    sessions: int
    models: Models
    findings: tuple[Finding, ...]
    ignored: int

    def count(self, severity: Severity) -> int:
        """How many findings have exactly this severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def reaches(self, severity: Severity) -> bool:
        """Whether any finding has at least this severity."""
        least = SEVERITIES.index(severity)
        return any(SEVERITIES.index(finding.severity) >= least for finding in self.findings)


def lint(
    root: Path,
    environment: str | None = None,
    variables: Mapping[str, JSON] | None = None,
    models: Models | None = None,
) -> Report:
    """Check a catalog with all rules that its ``lint:`` block does not turn off.

    Args:
        environment: one of the catalog's environments; None checks all that it declares.
        variables: as for :func:`reconciler.load_catalog`.
        models: the known models; None means those known at release.

    Raises:
        CatalogError: it can't be loaded.
    """
    names: list[str | None] = [environment] if environment else [*environments(root)] or [None]
    loaders = [loaded(root, name, variables) for name in names]
    catalogs = [loader.catalog() for loader in loaders]
    written = read_written(root)
    comments = Comments(written.documents)
    subjects = [Subject(loader, written, comments, models or shipped()) for loader in loaders]
    given = written.documents[0].document.get("lint", {})
    found: dict[
        Finding, None
    ] = {}  # what many sessions inherit is found once for each of them, and reported once
    ignored: dict[Finding, None] = {}
    for rule in RULES.values():
        severity: Severity = given.get(rule.name, rule.severity)
        options = {**rule.options, **given.get("options", {}).get(rule.name, {})}
        if severity == "off":
            continue
        for spot, message, hint in chain.from_iterable(rule.check(subject, options) for subject in subjects):
            problem = spot.at.file.source.at(spot.at.char, message, hint)
            problem = replace(problem, source=masked(problem.source))
            finding = Finding(rule.name, severity, problem)
            (ignored if comments.ignore(rule.name, spot) else found)[finding] = None
    ordered = sorted(found, key=lambda finding: (*finding.problem.order, finding.rule))
    sessions = {key for catalog in catalogs for key in catalog.sessions}
    return Report(catalogs[0].name, len(sessions), subjects[0].models, tuple(ordered), len(ignored))
