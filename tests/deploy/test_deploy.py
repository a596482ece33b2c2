"""What is in ``deploy/``: checked by the programs that read it, and against the metrics that there are."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.schemas import check_document

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
DASHBOARD = DEPLOY / "grafana" / "dashboards" / "reconciler.json"
UNIT = DEPLOY / "systemd" / "reconciler-watch.service"

PROMTOOL, SYSTEMD = shutil.which("promtool"), shutil.which("systemd-analyze")
needs_promtool = pytest.mark.skipif(
    not PROMTOOL and not os.environ.get("CI"), reason="there is no promtool here, and this is no CI"
)
needs_systemd = pytest.mark.skipif(not SYSTEMD, reason="there is no systemd here")


def metrics() -> dict[str, set[str]]:
    """The metrics of the documentation, which a test compares with the code, and their labels."""
    page = (ROOT / "docs" / "watch.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(reconciler_\w+)` \| (\w+) \| ([^|]*)\|", page, re.MULTILINE)
    found = {name: set(re.findall(r"`(\w+)`", labels)) for name, _, labels in rows}
    found |= {f"{name}_bucket": {*found[name], "le"} for name, kind, _ in rows if kind == "histogram"}
    return {**found, "up": {"job", "instance"}}


def rule_expressions() -> Iterator[str]:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def dashboard_expressions() -> Iterator[str]:
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield re.sub(r"label_values\((\w+), (\w+)\)", r"sum by (\2) (\1)", variable["definition"])


EXPRESSIONS = [*rule_expressions(), *dashboard_expressions()]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_only_metrics_and_labels_that_exist_are_used(expression: str) -> None:
    known = metrics()
    used = re.findall(r"\b(reconciler_\w+|up)\b(?:\{([^}]*)\})?", expression)
    assert used
    labels: set[str] = set()
    for name, selector in used:
        assert name in known
        assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)) <= known[name]
        labels |= known[name]
    for group in re.findall(r"\b(?:by|without|on) \(([^)]*)\)", expression):
        assert set(re.findall(r"\w+", group)) <= labels


def test_the_dashboard_shows_every_metric() -> None:
    shown = {
        name.removesuffix("_bucket")
        for text in dashboard_expressions()
        for name in re.findall(r"reconciler_\w+", text)
    }
    assert shown == {name.removesuffix("_bucket") for name in metrics()} - {"up"}


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


@needs_promtool
def test_promtool_accepts_the_rules_and_their_tests(tmp_path: Path) -> None:
    promtool("check", "rules", str(RULES))
    shutil.copy(RULES, tmp_path)
    tests = Path(shutil.copy(Path(__file__).parent / "alerts.test.yml", tmp_path))
    said = promtool("test", "rules", str(tests))
    assert said.count("SUCCESS") == 1
    named = set(re.findall(r"alertname(?:: |=\")(\w+)", tests.read_text()))
    assert named == {
        rule["alert"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    }


@needs_promtool
def test_promtool_accepts_the_configuration_and_the_dashboard(tmp_path: Path) -> None:
    promtool("check", "config", "--syntax-only", str(DEPLOY / "prometheus" / "prometheus.yml"))
    expressions = [
        re.sub(r"\$__rate_interval", "5m", text.replace("$catalog", ".*")) for text in dashboard_expressions()
    ]
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions)]
    file = tmp_path / "dashboard.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(file))


def promtool(*words: str) -> str:
    assert PROMTOOL, "CI needs promtool: apt-get install prometheus"
    done = subprocess.run([PROMTOOL, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_systemd
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    assert SYSTEMD
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/reconciler/bin/reconciler", shutil.which("true") or ""))
    done = subprocess.run([SYSTEMD, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def variables() -> set[str]:
    return set(
        re.findall(r"^\| `(RECONCILER_\w+)`", (ROOT / "docs" / "command-line.md").read_text(), re.MULTILINE)
    )


def test_the_unit_sets_variables_that_exist() -> None:
    text = UNIT.read_text()
    assert set(re.findall(r"RECONCILER_\w+", text)) <= variables()
    assert "DynamicUser=yes" in text
    assert "TimeoutStopSec=5min" in text  # as long as writes in flight may take


def test_the_example_is_a_watch_file() -> None:
    assert check_document(yaml.safe_load((DEPLOY / "watch.yaml").read_text()), "watch") == []


def compose() -> Any:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_the_containers_have_what_they_name() -> None:
    document = compose()
    for name, service in document["services"].items():
        assert ("build" in service) != bool(
            re.fullmatch(r"[\w/-]+:v?\d+\.\d+\.\d+", service.get("image", ""))
        )
        assert set(service.get("secrets", ())) <= set(document["secrets"]), name
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            known = (DEPLOY / source).exists() if source.startswith("./") else source in document["volumes"]
            assert known, volume
        for port in service["ports"]:
            assert port.startswith("127.0.0.1:"), "published to other machines"
    watcher = document["services"]["reconciler"]
    assert set(watcher["environment"]) <= variables()
    assert watcher["read_only"] and watcher["cap_drop"] == ["ALL"]
    ignored = (DEPLOY / ".gitignore").read_text().split()
    assert {one["file"].lstrip(".") for one in document["secrets"].values()} == set(ignored)


def test_prometheus_and_grafana_find_each_other() -> None:
    document = compose()
    scrape = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    job = scrape["scrape_configs"][0]
    assert job["static_configs"][0]["targets"] == ["reconciler:9464"]
    assert job["authorization"]["credentials_file"] == "/run/secrets/token"
    assert document["services"]["reconciler"]["environment"]["RECONCILER_LISTEN"].endswith(":9464")
    folder = DEPLOY / "grafana" / "provisioning"
    source = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text())["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    provider = yaml.safe_load((folder / "dashboards" / "reconciler.yaml").read_text())["providers"][0]
    mounted = [
        one for one in document["services"]["grafana"]["volumes"] if provider["options"]["path"] in one
    ]
    assert mounted == ["./grafana/dashboards:/var/lib/grafana/dashboards:ro"]


def test_the_documentation_lists_each_alert() -> None:
    page = (ROOT / "docs" / "watch.md").read_text(encoding="utf-8")
    groups = yaml.safe_load(RULES.read_text())["groups"]
    assert re.findall(r"^\| `(Reconciler\w+)` \|", page, re.MULTILINE) == [
        rule["alert"] for group in groups for rule in group["rules"]
    ]


def test_the_image_can_write_its_state_and_says_whether_it_works() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "--owner=65534 --group=65534 --mode=0700 /var/lib/reconciler" in text
    assert re.search(r'^HEALTHCHECK .*\\\n +CMD \[".*"\]$', text, re.MULTILINE)
    watcher = compose()["services"]["reconciler"]
    assert watcher["environment"]["RECONCILER_STATE_DIR"] == "/var/lib/reconciler"
    assert watcher["volumes"] == ["state:/var/lib/reconciler"]


def test_the_health_check_runs_nothing_of_the_catalog(tmp_path: Path) -> None:
    """The catalog is in the current folder of a container, from where Python takes modules unless it is told not to."""
    found = re.search(r"^HEALTHCHECK .*\\\n +CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found
    _, *words = json.loads(found[1])
    assert words[-1] == "reconciler.web.health"
    forged = tmp_path / "reconciler" / "web"
    forged.mkdir(parents=True)
    for file in (
        forged / "health.py",
        forged.parent / "__init__.py",
        tmp_path / "http.py",
        tmp_path / "json.py",
    ):
        file.write_text("raise SystemExit('run')")
    environ = {**os.environ, "RECONCILER_LISTEN": "127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.partition(":")[0]) == (1, "no answer at 127.0.0.1")
