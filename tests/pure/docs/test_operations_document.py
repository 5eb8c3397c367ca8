"""docs/operations.md, the alert rules and the dashboard speak of metrics that exist, and of each other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import REGISTRY

import consumers.metrics
import syncer.metrics
import webhooks.metrics
from mailcore import metrics, waits
from mailcore.store import postgres

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "operations.md").read_text()
RULES = [
    rule
    for group in yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "mozzart.json").read_text())
# What prometheus_client tells of every process by itself, and Prometheus of every scrape.
COMMON = {
    "process_start_time_seconds": set(),
    "process_resident_memory_bytes": set(),
    "process_cpu_seconds_total": set(),
    "up": set(),
}
OF_EVERY_SAMPLE = {"job", "instance", "process", "process_instance", "le"}
TYPES = {"counter", "gauge", "histogram"}


def families() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Of ours: name without `_total` → type and labels."""
    found = {}
    for module in (consumers.metrics, syncer.metrics, webhooks.metrics, waits):
        for value in vars(module).values():
            for family in value.describe() if hasattr(value, "describe") and hasattr(value, "_labelnames") else ():
                found[family.name] = (family.type, value._labelnames)
    gauges = [
        *syncer.metrics.States(list, list).describe(),
        *metrics.stream_families().values(),
        *metrics.verify_families(),
    ]
    return found | {family.name: (family.type, family._labelnames) for family in gauges}


FAMILIES = families()


def series() -> dict[str, set[str]]:
    """What Prometheus stores: name → labels."""
    out: dict[str, set[str]] = dict(COMMON)
    for name, (kind, labels) in FAMILIES.items():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(kind, ("",))
        out |= {f"{name}{suffix}": set(labels) for suffix in suffixes}
    return out


SERIES = series()


def queries() -> list[str]:
    targets = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [*targets, *(rule["expr"] for rule in RULES)]


def test_every_metric_of_ours_is_known_here() -> None:
    registered = {family.name for family in REGISTRY.collect() if family.name.startswith("mozzart_")}
    assert registered <= FAMILIES.keys()
    assert len(FAMILIES) > 15


def test_every_metric_is_documented_with_its_type_and_labels_and_nothing_else_is() -> None:
    rows = re.findall(r"^\| `(mozzart_\w+)` \| (\w+) \|([^|]*)\| (.+) \|$", TEXT, re.MULTILINE)
    documented = {
        name.removesuffix("_total"): (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in rows
    }
    assert documented == FAMILIES
    for name, kind, _, meaning in rows:
        assert name.endswith("_total") == (kind == "counter"), f"{name}: as Prometheus stores it"
        assert len(meaning) > 20, name


def test_every_query_names_only_metrics_and_labels_that_exist() -> None:
    for query in queries():
        without = re.sub(r'"[^"]*"', '""', query)
        named = set(re.findall(r"\b((?:mozzart|process)_[a-z_]+|up)\b(?=[{\[) ]|$)", without)) - {"process_instance"}
        assert named, query
        assert named <= SERIES.keys(), query
        for name, selector in re.findall(r"\b([a-z_]+)\{([^}]*)\}", without):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            assert labels <= SERIES[name] | OF_EVERY_SAMPLE, query
        for label in re.findall(r"by \(([^)]*)\)", without):
            possible = set().union(*(SERIES[name] for name in named)) | OF_EVERY_SAMPLE
            assert {word.strip() for word in label.split(",")} <= possible, query


def test_every_alert_has_its_paragraph_and_every_paragraph_its_alert() -> None:
    paragraphs = dict(re.findall(r"^### (Mozzart\w+)\n\n(.*?)(?=^#|\Z)", TEXT, re.MULTILINE | re.DOTALL))
    assert paragraphs.keys() == {rule["alert"] for rule in RULES}
    for rule in RULES:
        assert rule["annotations"]["runbook_url"] == f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert len(paragraphs[rule["alert"]]) > 150, f"{rule['alert']}: what it means, and what to do"


def test_what_a_summary_names_is_a_label_of_its_expression() -> None:
    for rule in RULES:
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        possible = OF_EVERY_SAMPLE.union(*(labels for name, labels in SERIES.items() if name in rule["expr"]))
        assert named <= possible, rule["alert"]


def test_the_panels_are_whole() -> None:
    panels: list[dict[str, Any]] = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    taken = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken)), "panels lie on each other"
    # Each metric of ours can be seen.
    shown = " ".join(queries())
    assert [name for name in FAMILIES if name not in shown] == []


def test_the_bounds_on_postgresql_are_the_documented_ones() -> None:
    for words, value in (
        ("connections that a process keeps", postgres.POOL_SIZE),
        ("connections more while it needs them", postgres.POOL_OVERFLOW),
        ("seconds to wait for a free connection", postgres.POOL_TIMEOUT),
        ("seconds to connect", postgres.CONNECT_TIMEOUT),
        ("seconds for a statement (`statement_timeout`)", postgres.STATEMENT_TIMEOUT),
        ("seconds until the process itself gives up on an answer", postgres.COMMAND_TIMEOUT),
        ("seconds idle in a transaction", postgres.IDLE_IN_TRANSACTION_TIMEOUT),
    ):
        assert f"| {value} | {words}" in TEXT


def test_the_two_troubles_of_the_old_system_are_there() -> None:
    assert "`IMAP settings not configured; skipping sync.`" in TEXT
    assert re.search(r"502 .*`/admin`", TEXT)
    assert re.search(r"502 .*`/api`", TEXT)
