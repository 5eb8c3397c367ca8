"""Chromium as a person uses it, driven by Playwright; it remembers requests, errors of scripts, and dialogues."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, sync_playwright

from tests.support.programs import need_program

ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage"
).split()
PASSWORD = "a password only for tests"
PHONE = {"width": 390, "height": 844}


@dataclass
class Visitor:
    """One browser profile with one tab. `base` is where the pages are."""

    context: BrowserContext
    base: str
    page: Page = field(init=False)
    requests: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.context.set_default_timeout(15_000)
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", self._refuse)

    def _refuse(self, dialog: Dialog) -> None:
        self.faults.append(f"dialogue: {dialog.message}")
        dialog.dismiss()

    def open(self, path: str) -> Page:
        self.page.goto(self.base + path)
        return self.page

    def sign_in(self, path: str = "/admin/", password: str = PASSWORD) -> Page:
        """By the form, as a person does; ends at `path`."""
        page = self.open(path)
        page.get_by_label("User").fill("admin")
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        return page

    def foreign_requests(self) -> list[str]:
        """What went anywhere but to our own pages."""
        return [url for url in self.requests if not url.startswith((self.base + "/", "data:", "about:"))]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's. Of one module, as Playwright's event loop is in the way of tests that have their own."""
    program = need_program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()
