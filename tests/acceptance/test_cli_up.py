"""`mozzart up` as a user starts it: everything ends with it, whatever ends it, and what dies comes back."""

from __future__ import annotations

import contextlib
import signal
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.processes import ROLES, Mozzart
from tests.support.programs import wait_until


@pytest.fixture
def executed(make_mozzart: Callable[..., Mozzart]) -> Mozzart:
    """Started by the console script, for what may depend on it."""
    mozzart = make_mozzart()
    mozzart.executed = True
    return mozzart


@pytest.fixture(scope="module")
def up() -> Iterator[Mozzart]:
    """One that runs as long as the tests of this file, without an IMAP server and with a token of its own making; each
    test leaves it as it was."""
    with tempfile.TemporaryDirectory(prefix="mz-", dir="/tmp", ignore_cleanup_errors=True) as home:
        mozzart = Mozzart(Path(home), {"API_TOKEN": ""})
        try:
            mozzart.start()
            mozzart.http_when_up("GET", "/healthz")
            mozzart.token = (mozzart.home / "data" / "api.token").read_text().strip()
            running(mozzart)
            yield mozzart
        finally:
            mozzart.stop(within=20)


def running(mozzart: Mozzart) -> dict[str, psutil.Process]:
    """All four children, ready for work."""
    mozzart.wait_ready()
    return wait_until(lambda: found if len(found := mozzart.processes()) == len(ROLES) else None, "four children")


def alive(processes: dict[str, psutil.Process]) -> list[str]:
    return [
        role for role, process in processes.items() if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_within_five_seconds(executed: Mozzart, number: signal.Signals) -> None:
    mozzart = executed.start()
    children = running(mozzart)
    began = time.monotonic()

    leader = psutil.Process(mozzart.pid)
    leader.send_signal(number)
    assert leader.wait(5) == 0
    assert time.monotonic() - began < 5
    assert alive(children) == []
    assert not (mozzart.home / "data" / "nats.url").exists()
    assert "Traceback" not in mozzart.log_text()


def test_a_signal_during_the_start_ends_everything_too(executed: Mozzart) -> None:
    mozzart = executed.start()
    children = wait_until(mozzart.processes, "a first child")

    leader = psutil.Process(mozzart.pid)
    leader.send_signal(signal.SIGINT)
    assert leader.wait(5) == 0
    assert alive(children) == []


def test_what_hangs_does_not_hold_up_the_end(executed: Mozzart) -> None:
    mozzart = executed.start()
    children = running(mozzart)
    for child in children.values():
        child.suspend()  # SIGSTOP: deaf to everything but SIGKILL

    leader = psutil.Process(mozzart.pid)
    leader.send_signal(signal.SIGTERM)
    assert leader.wait(5) == 0
    assert alive(children) == []


def test_kill_9_of_the_supervisor_leaves_no_process_and_the_next_one_starts(
    executed: Mozzart,
) -> None:
    mozzart = executed.start()
    children = running(mozzart)
    children["fork-server"] = wait_until(lambda: fork_server(mozzart), "a fork server")

    began = time.monotonic()
    mozzart.kill_supervisor()
    assert time.monotonic() - began < 2
    assert alive(children) == []

    assert len(running(mozzart.start())) == len(ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_kill_9_of_a_child_brings_it_back_within_a_second_on_the_same_port(up: Mozzart, role: str) -> None:
    before = running(up)
    address = (up.home / "data" / "nats.url").read_text()

    before[role].kill()
    wait_until(
        lambda: (now := up.processes().get(role)) and now.pid != before[role].pid,
        f"a new {role}",
        within=20 if role == "nats-server" else 1,
    )
    after = running(up)
    assert {name for name in ROLES if after[name].pid != before[name].pid} == {role}, "nobody else was touched"
    assert (up.home / "data" / "nats.url").read_text() == address
    assert f"child={role}" in up.log_text()
    wait_until(lambda: up.run("status").returncode == 0, "the new one is known", within=20)


def fork_server(mozzart: Mozzart) -> psutil.Process | None:
    for child in psutil.Process(mozzart.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if child.cmdline()[:2] == ["mozzart", "fork-server"]:
                return child
    return None


def test_kill_9_of_the_fork_server_touches_nobody_and_the_next_one_forks(executed: Mozzart) -> None:
    mozzart = executed.start()
    children = running(mozzart)
    server = wait_until(lambda: fork_server(mozzart), "a fork server")

    server.kill()
    children["consumer"].kill()  # its start waits for the next fork server
    after = wait_until(
        lambda: (
            found
            if (found := mozzart.processes()).keys() == children.keys()
            and found["consumer"].pid != children["consumer"].pid
            else None
        ),
        "a new consumer",
        within=20,
    )
    assert {name for name in ROLES if after[name].pid != children[name].pid} == {"consumer"}, "nobody else was touched"
    assert after["consumer"].cmdline()[:2] == ["mozzart", "consumer"], "forked, not executed"
    found = wait_until(lambda: fork_server(mozzart), "a fork server")
    assert found.pid != server.pid
    mozzart.wait_ready()

    leader = psutil.Process(mozzart.pid)
    leader.send_signal(signal.SIGTERM)
    assert leader.wait(5) == 0
    assert alive({**after, "fork-server": found}) == []


def test_no_command_line_holds_a_secret(make_mozzart: Callable[..., Mozzart]) -> None:
    secrets = {
        "IMAP_PASSWORD": "correct-horse-7",
        "ADMIN_PASSWORD": "battery-staple-8",
        "API_TOKEN": "a-token-9-of-ours",
    }
    mozzart = make_mozzart(IMAP_HOST="127.0.0.1", IMAP_PORT="1", IMAP_USER="anna", **secrets).start()
    mozzart.token = secrets["API_TOKEN"]
    running(mozzart)
    nats_token = (mozzart.home / "data" / "nats.url").read_text().partition("//")[2].partition("@")[0]

    leader = psutil.Process(mozzart.pid)
    lines = [" ".join(process.cmdline()) for process in (leader, *leader.children(recursive=True))]
    assert {"mozzart fork-server", "mozzart syncer"} <= {line.strip() for line in lines}
    assert [line for line in lines for secret in (*secrets.values(), nats_token) if secret in line] == []


def test_a_second_one_on_the_same_data_directory_is_refused(up: Mozzart) -> None:
    second = up.run("up")
    assert second.returncode == 75
    assert f"process {up.pid}" in second.stderr
    assert "DATA_DIR" in second.stderr
    assert "Traceback" not in second.stderr
    assert up.http("GET", "/readyz").status == 200, "the first one does not notice"


def test_without_imap_settings_it_says_so_and_the_api_stays_up(up: Mozzart) -> None:
    up.wait_log("IMAP settings not configured; skipping sync.")

    answer = up.http("POST", "/api/mailbox/sync/")
    assert (answer.status, answer.json["detail"]) == (503, "IMAP settings not configured; skipping sync.")
    sync = up.run("sync")
    assert (sync.returncode, sync.stderr.strip()) == (78, "IMAP settings not configured; skipping sync.")


def test_what_it_leaves_in_the_data_directory_is_for_its_owner_alone(up: Mozzart) -> None:
    data = up.home / "data"
    for name in ("nats.url", "api.token", "nats/nats-server.conf"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600, name
    token = (data / "api.token").read_text().strip()
    nats_token = (data / "nats.url").read_text().partition("//")[2].partition("@")[0]
    assert up.http("GET", "/api/mailbox/states/", token=token).status == 200
    assert up.log_text().count(token) == 1, "printed once"
    assert nats_token not in up.log_text()
    assert token not in " ".join(" ".join(child.cmdline()) for child in up.processes().values())
    assert nats_token not in " ".join(" ".join(child.cmdline()) for child in up.processes().values())


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"IMAP_PORT": "many"}, "IMAP_PORT"),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL"),
        ({"DATA_DIR": "/proc/nowhere"}, "DATA_DIR"),
    ],
)
def test_a_wrong_setting_ends_it_with_a_sentence_and_code_78(
    make_mozzart: Callable[..., Mozzart], environment: dict[str, str], named: str
) -> None:
    ended = make_mozzart(**environment).run("up")

    assert ended.returncode == 78
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1


def test_a_port_that_is_taken_ends_it_so_too(up: Mozzart, make_mozzart: Callable[..., Mozzart]) -> None:
    ended = make_mozzart(API_PORT=str(up.api_port)).run("up")

    assert ended.returncode == 78
    assert f"cannot listen on 127.0.0.1 port {up.api_port}" in ended.stderr + ended.stdout
    assert ended.stderr.splitlines()[-1].endswith("could not start; its own words are above.")
    assert "Mozzart runs." not in ended.stdout


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"API_HOST": "no.such.host.invalid"}, "cannot listen on no.such.host.invalid"),
        ({"MEDIA_ROOT": "a-file"}, "MEDIA_ROOT a-file cannot be used"),
        ({"MEDIA_ROOT": "/proc/nowhere"}, "MEDIA_ROOT /proc/nowhere cannot be used"),
    ],
)
def test_what_only_a_child_sees_to_be_wrong_ends_it_so_too(
    make_mozzart: Callable[..., Mozzart], environment: dict[str, str], named: str
) -> None:
    mozzart = make_mozzart(**environment)
    (mozzart.home / "a-file").touch()
    ended = mozzart.run("up")

    assert ended.returncode == 78
    assert named in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr
    assert not (mozzart.home / "data" / "nats.url").exists()
