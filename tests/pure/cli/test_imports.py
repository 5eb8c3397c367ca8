"""Imports are most of a start: what no process needs is not imported, in an interpreter of its own."""

from __future__ import annotations

import subprocess
import sys


def said(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.strip()


def test_the_list_of_commands_needs_no_settings_and_no_event_loop() -> None:
    heavy = "{'pydantic', 'structlog', 'asyncio', 'sqlalchemy', 'trio', 'rich'}"
    assert said(f"import sys, cli.main; print({heavy} & sys.modules.keys() or 'none')") == "none"


def test_a_fork_server_is_forked_before_there_is_trio() -> None:
    assert said("import sys, mailcore.log, supervisor.plan; print('trio' in sys.modules)") == "False"


def test_the_processes_import_nothing_that_shows_tracebacks_and_read_no_authorities() -> None:
    program = """
import sys
import mailcore.log, mailcore.bus, api.main
from aiohttp import connector
import rich  # whoever wants it gets it
trusted = connector._SSL_CONTEXT_VERIFIED.cert_store_stats(), connector._SSL_CONTEXT_UNVERIFIED.cert_store_stats()
print(mailcore.log.structlog.dev.rich, sum(each["x509"] for each in trusted), "rich.traceback" in sys.modules)
"""
    assert said(program) == "None 0 False"
    assert said(program.replace("mailcore.bus, ", "")) == "None 0 False", "whoever is imported first"


def test_what_is_imported_leaves_the_authorities_of_the_environment_alone() -> None:
    program = """
import os
os.environ["SSL_CERT_FILE"] = "/a/file"
os.environ.pop("SSL_CERT_DIR", None)
import mailcore.bus
print(os.environ["SSL_CERT_FILE"], os.environ.get("SSL_CERT_DIR"))
"""
    assert said(program) == "/a/file None"
