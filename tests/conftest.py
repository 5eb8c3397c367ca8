"""What every test shares: asyncio as a program without trio sees it, and the fixtures of tests/support/."""

from __future__ import annotations

import asyncio
import importlib.util

import pytest
import trio_asyncio  # noqa: F401  # first, so that no test sees asyncio before the patch and another one after it
from hypothesis import HealthCheck, settings

from mailcore import fault

# trio_asyncio's patch gives `asyncio.new_event_loop()` a trio loop until this thread has set a policy of its own.
asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())

pytest.register_assert_rewrite("tests.support")
pytest_plugins = [
    f"tests.support.{name}"
    for name in ("dovecot", "postgres", "nats", "processes", "proxy", "scripted_imap", "browser", "composed")
    if importlib.util.find_spec(f"tests.support.{name}")
]

# A machine under load is slow, not wrong: no deadline; and a failure must be the same for everyone who reruns it.
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def no_fault_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug that one test plants twice, or two tests plant at one place, is news in each."""
    monkeypatch.setattr(fault, "_told", {})
