"""The systemd units: each starts a command that exists, hardened, and is told of."""

from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from cli import exit_code
from cli.main import root as mozzart

ROOT = Path(__file__).resolve().parents[3]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
TEXT = (ROOT / "docs" / "operations.md").read_text()


def read(unit: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names are as systemd has them
    parser.read(unit)
    return parser


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_starts_a_command_of_ours_and_may_write_its_state_alone(unit: Path) -> None:
    service = read(unit)["Service"]
    program, *words = service["ExecStart"].split()
    assert program == "/opt/mozzart/.venv/bin/mozzart"
    command = mozzart
    for word in words:
        command = command.commands[word]  # type: ignore[assignment]
    assert service["User"] == "mozzart"
    assert (service["ProtectSystem"], service["StateDirectory"]) == ("strict", "mozzart")
    assert "ReadWritePaths" not in service
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "RestrictSUIDSGID"):
        assert service[name] == "yes"
    assert service["CapabilityBoundingSet"] == ""
    assert service["KillMode"] == "mixed", "a SIGTERM to every child at once would end them in no order"
    assert service["RestartPreventExitStatus"] == str(exit_code.CONFIG)
    assert f"`{unit.name}`" in TEXT


def test_there_is_a_unit_for_each_process() -> None:
    started = {read(unit)["Service"]["ExecStart"].split(maxsplit=1)[1] for unit in UNITS}
    assert started == {"up", "db upgrade", "syncer", "consumer", "api", "webhook", "verifier"}
