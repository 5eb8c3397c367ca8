"""The alert rules fire when they should and are silent when all is well: Prometheus' own test of rules."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml

from tests.support.programs import need_program

RULES = Path(__file__).parents[2] / "deploy" / "prometheus"


def test_alert_rules_pass_the_unit_tests_that_prometheus_has_for_them() -> None:
    promtool = need_program("promtool", "prometheus")
    for words in (["check", "rules", "rules.yml"], ["test", "rules", "rules.test.yml"]):
        done = subprocess.run([promtool, *words], cwd=RULES, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_in_one_of_them_and_in_none_when_all_is_well() -> None:
    rules = yaml.safe_load((RULES / "rules.yml").read_text())["groups"]
    tests = yaml.safe_load((RULES / "rules.test.yml").read_text())["tests"]
    alerts = {rule["alert"] for group in rules for rule in group["rules"]}
    fires = {one["alertname"] for test in tests for one in test["alert_rule_test"] if one.get("exp_alerts")}
    silent = {one["alertname"] for test in tests[:1] for one in test["alert_rule_test"] if not one.get("exp_alerts")}

    assert fires == alerts
    assert silent == alerts
