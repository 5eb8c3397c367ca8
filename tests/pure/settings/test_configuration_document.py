"""docs/configuration.md, .env.example and docs/api.md say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from api.routes import health, states, sync
from cli import exit_code
from mailcore.settings import SECRETS, Settings

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "configuration.md").read_text()
FILE_FIELDS = {f"{name}_file" for name in SECRETS}


def documented() -> dict[str, tuple[str, str]]:
    """Setting → (default, meaning)."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) ?\| (.*) \|$", TEXT, re.MULTILINE)
    return {name: (default.strip("`"), meaning) for name, default, meaning in rows}


def test_every_setting_is_documented_and_nothing_else() -> None:
    assert set(documented()) == {name.upper() for name in Settings.model_fields if name not in FILE_FIELDS}


def test_the_documented_defaults_are_the_real_ones() -> None:
    settings = Settings(_env_file=None)
    for name, (default, _) in documented().items():
        value = getattr(settings, name.lower())
        if hasattr(value, "get_secret_value"):
            value = value.get_secret_value()
        text = ",".join(value) if isinstance(value, tuple) else "" if value is None else f"{value}"
        assert default == text.removesuffix(".0"), name


def test_the_settings_that_a_file_may_hold_are_marked() -> None:
    marked = {name.lower() for name, (_, meaning) in documented().items() if "**file**" in meaning}
    assert marked == set(SECRETS)
    assert set(Settings.model_fields) >= FILE_FIELDS


def test_the_example_names_every_setting_with_its_default() -> None:
    lines = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    for name in ("IMAP_PASSWORD_FILE", "COMPOSE_PROFILES", "NATS_PORT"):
        lines.pop(name)
    assert lines == {name: default for name, (default, _) in documented().items()}


def test_the_exit_codes_are_those_of_the_document() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", TEXT, re.MULTILINE)
    assert {int(code): meaning.replace("`", "") for code, meaning in rows} == {
        code: meaning.replace("`", "") for code, meaning in exit_code.MEANING.items()
    }


def test_every_endpoint_is_documented() -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    for module in (sync, states, health):
        for route in module.routes:
            assert f"`{route.method} {route.path}`" in text  # type: ignore[attr-defined]  # all of ours are RouteDef
