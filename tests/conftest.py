"""What every test shares: asyncio as a program without trio sees it, and the fixtures of tests/support/."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import secrets

import pytest
import trio_asyncio  # noqa: F401  # first, so that no test sees asyncio before the patch and another one after it
from hypothesis import HealthCheck, settings

from mailcore import fault

# trio_asyncio's patch gives `asyncio.new_event_loop()` a trio loop until this thread has set a policy of its own.
asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())

pytest.register_assert_rewrite("tests.support")
pytest_plugins = [
    f"tests.support.{name}"
    for name in (
        "dovecot",
        "cyrus",
        "courier",
        "postgres",
        "nats",
        "processes",
        "proxy",
        "scripted_imap",
        "browser",
        "composed",
        "disks",
        "openid",
    )
    if importlib.util.find_spec(f"tests.support.{name}")
]

# A machine under load is slow, not wrong: no deadline. By day a failure must be the same for everyone who reruns it; by
# night (`make nightly`) other examples are tried than ever before, and pytest_report_header tells how to repeat them.
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "nightly",
    deadline=None,
    derandomize=False,
    print_blob=True,
    max_examples=1_000,
    stateful_step_count=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "repeatable")
settings.load_profile(PROFILE)


@pytest.hookimpl(tryfirst=True)  # before the plugin of hypothesis reads it
def pytest_configure(config: pytest.Config) -> None:
    """One seed for the whole night, so that the line that tells it repeats the whole night."""
    if PROFILE == "nightly" and config.getoption("hypothesis_seed", None) is None:
        config.option.hypothesis_seed = str(secrets.randbits(64))


def pytest_collection_finish() -> None:
    """What was collected stays until the end, half a million objects: the garbage collector looks at them no more."""
    gc.freeze()


def pytest_report_header(config: pytest.Config) -> list[str]:
    if PROFILE != "nightly":
        return []
    return [f"repeat with: make nightly SEED={config.option.hypothesis_seed}"]


@pytest.fixture(autouse=True)
def no_fault_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug that one test plants twice, or two tests plant at one place, is news in each."""
    monkeypatch.setattr(fault, "_told", {})
