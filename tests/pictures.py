"""The pictures of the README: the pages of a demo that has received some mail, in Chromium. `make pictures`"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from tests.support.browser import ARGUMENTS
from tests.support.processes import MOZZART
from tests.support.programs import find_program, free_port, wait_until

PICTURES: Final = Path(__file__).resolve().parents[1] / "docs/pictures"
PAGES: Final = {"mailboxes.png": "/admin/", "messages.png": "/admin/messages/"}
MAILS: Final = 8
SIZE: Final = {"width": 1000, "height": 300}  # at least; a picture is as high as its page
LARGEST: Final = 200_000  # bytes


@contextmanager
def demo(home: Path, port: int) -> Iterator[None]:
    """It runs, and has stored some mail."""
    arguments = ["demo", "--every", "2", "--data-dir", str(home), "--api-port", str(port)]
    process = subprocess.Popen([str(MOZZART), *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: stored(home, port) >= MAILS, "some mail is stored", within=90)
        yield
    finally:
        process.terminate()
        process.wait(20)


def stored(home: Path, port: int) -> int:
    try:
        token = (home / "data/api.token").read_text().strip()
        address = f"http://127.0.0.1:{port}/api/messages/?total=true&limit=1"
        request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(json.load(answer)["total"])
    except OSError:
        return 0  # it is not there yet


def take(home: Path, port: int) -> None:
    base, password = f"http://127.0.0.1:{port}", (home / "data/admin.password").read_text().strip()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_program("chromium", "chromium"), args=ARGUMENTS)
        page = browser.new_context(viewport=SIZE, color_scheme="light", timezone_id="Europe/Berlin").new_page()  # type: ignore[arg-type]
        page.goto(f"{base}/admin/login/")
        page.get_by_label("User").fill("admin")
        page.get_by_label("Password").fill(password)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/admin/")
        for name, path in PAGES.items():
            page.goto(base + path)
            page.locator("[data-rows] time").first.wait_for()
            page.screenshot(path=PICTURES / name, full_page=True, animations="disabled")
        browser.close()


def main() -> int:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mozzart-") as directory:
        port = free_port()
        with demo(Path(directory), port):
            take(Path(directory), port)
    for name in PAGES:
        size = (PICTURES / name).stat().st_size
        print(f"docs/pictures/{name}  {size / 1000:.0f} kB")
        if size > LARGEST:
            print(f"too large: more than {LARGEST / 1000:.0f} kB")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
