"""Tokens of programs, made and revoked by command and in a browser while everything runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing

from playwright.sync_api import Browser, expect

from mailcore.api_token import PATTERN
from tests.support.browser import PASSWORD, Visitor
from tests.support.processes import Mozzart
from tests.support.programs import wait_until


def test_a_token_is_made_used_and_revoked_by_page_and_by_command_and_its_secret_is_nowhere(
    chromium: Browser, make_mozzart: Callable[..., Mozzart]
) -> None:
    mozzart = make_mozzart(ADMIN_PASSWORD=PASSWORD).start().wait_ready()

    def status(token: str, path: str = "/metrics") -> int:
        return mozzart.http("GET", path, token=token).status

    made = mozzart.run("tokens", "add", "prometheus", "--scope", "metrics", "--expires", "90d")
    by_command = made.stdout.strip()
    assert PATTERN.fullmatch(by_command)
    assert (status(by_command), status(by_command, "/api/messages/")) == (200, 403)
    assert "There is a token" in mozzart.run("tokens", "add", "prometheus", "--scope", "read").stderr

    with closing(chromium.new_context()) as context:
        person = Visitor(context, f"http://127.0.0.1:{mozzart.api_port}")
        page = person.sign_in("/admin/tokens/")
        row = page.get_by_role("row", name=re.compile("prometheus"))
        expect(row).to_contain_text("metrics")
        expect(row).to_contain_text("ago")
        page.get_by_role("textbox", name="Name").fill("grafana")
        page.get_by_role("button", name="Make it").click()
        expect(page.get_by_role("alert")).to_contain_text("Choose what the token may do")
        expect(page.get_by_role("textbox", name="Name")).to_have_value("grafana")
        page.get_by_role("checkbox", name="read").check()
        page.get_by_role("checkbox", name="metrics").check()
        page.get_by_label("Expires").select_option("in 30 days")
        page.get_by_role("button", name="Make it").click()
        by_page = page.get_by_label("The token").input_value()
        assert (status(by_page), status(by_page, "/api/messages/")) == (200, 200)
        page.goto(page.url)
        assert by_page not in page.content(), "shown once"

        row = page.get_by_role("row", name=re.compile("prometheus"))
        row.get_by_text("Revoke …").click()
        row.get_by_role("button", name="Revoke prometheus").click()
        expect(page.get_by_role("status")).to_contain_text("prometheus")
        assert status(by_command) == 401
        assert person.faults == []

    listed = {one["name"]: one for one in map(json.loads, mozzart.run("tokens", "list", "--json").stdout.splitlines())}
    assert (listed["prometheus"]["state"], listed["grafana"]["state"]) == ("revoked", "valid")
    assert listed["grafana"]["scopes"] == ["read", "metrics"]
    wait_until(lambda: '"last_used_at": null' not in mozzart.run("tokens", "list", "--json").stdout, "uses are kept")
    assert "Revoked grafana" in mozzart.run("tokens", "revoke", by_page).stdout
    assert status(by_page) == 401
    assert mozzart.run("tokens", "revoke", "grafana").stderr.startswith("There is no token 'grafana'")

    done = [json.loads(line) for line in mozzart.run("audit", "--json").stdout.splitlines()]
    assert [(one["action"], one["who"], one["object"]) for one in done] == [
        ("token-revoked", "command line", "grafana"),
        ("token-revoked", "admin", "prometheus"),
        ("token-made", "admin", "grafana: read, metrics"),
        ("signed-in", "admin", ""),
        ("token-made", "command line", "prometheus: metrics"),
    ]
    assert len(mozzart.run("audit", "--who", "admin", "--since", "1h", "--count", "2").stdout.splitlines()) == 3

    for secret in (by_command, by_page):
        kept = [one for one in mozzart.home.rglob("*") if one.is_file() and secret[12:].encode() in one.read_bytes()]
        assert kept == []
