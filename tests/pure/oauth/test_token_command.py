"""TOKEN_COMMAND: what it may print, and what is said of one that does not."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailcore import log
from mailcore.account import Account
from mailcore.errors import ImapError, Retry, Scope
from mailcore.oauth.command import CommandTokens, Ran, read, run
from tests.support.programs import wait_until


def python(program: str) -> str:
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}"


def account(command: str) -> Account:
    return Account(name="a", host="h", user="anna", auth="command", token_command=command)


def failure(command: str, within: float = 10.0) -> str:
    with pytest.raises(ImapError) as caught:
        read(run(command, {}, within), "TOKEN_COMMAND")
    assert (caught.value.scope, caught.value.retry) == (Scope.ACCOUNT, Retry.LATER)
    return str(caught.value)


def test_what_it_prints_is_the_token_and_it_knows_for_whom() -> None:
    told = {"MOZZART_USER": "anna"}
    assert (
        read(run(python("import os; print('token-of-' + os.environ['MOZZART_USER'])"), told, 10), "x")
        == "token-of-anna"
    )


def test_the_last_line_of_its_standard_error_is_in_the_words() -> None:
    said = failure(python("import sys; sys.stderr.write('first\\nno key for anna\\x07\\n\\n'); sys.exit(3)"))
    assert said == "TOKEN_COMMAND ended with code 3: no key for anna?"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (python("pass"), "printed nothing"),
        (python("print('Bearer abc')"), "something else than one access token"),
        (python("print('tök')"), "something else than one access token"),
        (python("import os; os.kill(os.getpid(), 9)"), "ended by signal 9"),
        ("/nowhere/token", "cannot be started (No such file or directory)"),
        ("'unbalanced", "cannot be started"),
        (python("while True: print('x' * 1000)"), "printed more than 64 KiB"),
        (python("import sys\nwhile True: sys.stderr.write('x' * 1000)"), "printed more than 64 KiB"),
    ],
)
def test_what_goes_wrong_is_told(command: str, words: str) -> None:
    assert words in failure(command)


@pytest.mark.parametrize("closing", ["", "os.close(1); os.close(2); "])
def test_one_that_hangs_is_ended(closing: str) -> None:
    began = time.monotonic()
    assert "did not end within 0.5 s" in failure(python(f"import os, time; {closing}time.sleep(60)"), within=0.5)
    assert time.monotonic() - began < 30


def test_what_it_started_is_ended_with_it(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    program = f"""if True:
        import pathlib, subprocess
        child = subprocess.Popen(["sleep", "60"])
        pathlib.Path({str(path)!r}).write_text(str(child.pid))
        while True:
            print("x" * 1000)
    """
    assert "printed more than" in failure(python(program), within=60)
    pid = int(path.read_text())
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "it ended")


def test_one_that_leaves_a_child_with_its_outputs_open_is_not_waited_for() -> None:
    start = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print('tok')"
    )
    began = time.monotonic()
    assert read(run(python(start), {}, 30), "x") == "tok"
    assert time.monotonic() - began < 10


@given(st.binary(max_size=60), st.binary(max_size=200), st.sampled_from([0, 1, -9]))
def test_no_word_of_what_it_printed_is_ever_told(output: bytes, error: bytes, code: int) -> None:
    word = "t0k3n-" + output.hex()
    told = ""
    try:
        told = read(Ran(code, word.encode() + b" " + output, error + word.encode() + error), "TOKEN_COMMAND")
    except ImapError as failed:
        told = str(failed)
    assert told == word or (word not in told and told.isprintable())


def test_a_token_is_used_again_for_a_while_and_not_after_a_refusal(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    program = f"""if True:
        with open({str(runs)!r}, "a+") as runs:
            runs.write("x")
            print("tok-%d" % runs.tell())
    """
    now = [100.0]
    tokens = CommandTokens(account(python(program)), now=lambda: now[0])

    async def several() -> None:
        assert set(await asyncio.gather(*(tokens.token() for _ in range(5)))) == {"tok-1"}
        assert await tokens.token("tok-1") == "tok-2"
        assert await tokens.token("tok-1") == "tok-2"  # somebody else was refused, too, and has asked before
        now[0] += 61
        assert await tokens.token() == "tok-3"

    asyncio.run(several())
    assert log.strike_out("tok-3") == log.STRUCK_OUT
    assert log.strike_out("tok-1") == "tok-1"
    log.forget("tok-3")


def test_the_repr_of_an_account_shows_no_command() -> None:
    assert "hunter2" not in repr(account("show --key hunter2"))
