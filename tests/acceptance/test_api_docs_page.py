"""The page that describes the api, in a real browser: what is sent from its forms is answered there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, expect

from mailcore.settings import NOT_CONFIGURED
from tests.support.browser import PASSWORD, PHONE, Visitor
from tests.support.processes import Mozzart

DOCS = "/api/docs/"


@pytest.fixture
def mozzart(make_mozzart: Callable[..., Mozzart]) -> Mozzart:
    """Running, without IMAP."""
    return make_mozzart(ADMIN_USER="admin", ADMIN_PASSWORD=PASSWORD).start().wait_ready()


def test_every_operation_can_be_tried_as_whoever_is_signed_in(mozzart: Mozzart, chromium: Browser) -> None:
    with chromium.new_context(viewport=PHONE) as context:
        visitor = Visitor(context, f"http://127.0.0.1:{mozzart.api_port}")
        page = visitor.sign_in(DOCS)
        described = mozzart.http("GET", "/api/openapi.json").json["paths"]
        expect(page.locator("details.operation")).to_have_count(sum(map(len, described.values())))

        messages = page.locator("#messages")
        messages.locator("summary").first.click()
        messages.locator("input[name=q]").fill("it's here")
        expect(messages.locator("[data-curl]")).to_contain_text("/api/messages/?q=it%27s+here'")
        messages.get_by_role("button", name="Send").click()
        expect(messages.locator("[data-status]")).to_contain_text("200 OK")
        expect(messages.locator("[data-answer]")).to_contain_text('"messages": []')

        # An unsafe method: the CSRF token goes along, or the answer would be 403.
        sync = page.locator("#sync")
        sync.locator("summary").first.click()
        sync.get_by_role("button", name="Send").click()
        expect(sync.locator("[data-answer]")).to_contain_text(NOT_CONFIGURED)

        one = page.locator("#message")
        one.locator("summary").first.click()
        one.get_by_role("button", name="Send").click()
        expect(one.locator("[data-status]")).to_have_text("id is needed.")
        one.locator("input[name=id]").fill("7")
        one.get_by_role("button", name="Send").click()
        expect(one.locator("[data-answer]")).to_contain_text("There is no message 7.")

        events = page.locator("#events")
        events.locator("summary").first.click()
        events.get_by_role("button", name="Send").click()
        expect(events.locator("[data-answer]")).to_contain_text("retry:")
        events.get_by_role("button", name="Stop").click()
        expect(events.locator("[data-status]")).to_have_text("stopped")

        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert visitor.faults == []
        assert visitor.foreign_requests() == []


def test_strangers_are_led_to_the_sign_in_page(mozzart: Mozzart, chromium: Browser) -> None:
    with chromium.new_context() as context:
        page = Visitor(context, f"http://127.0.0.1:{mozzart.api_port}").open(DOCS + "#sync")

        expect(page.get_by_label("Password")).to_be_visible()
        assert "/admin/login/" in page.url
