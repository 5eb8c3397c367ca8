"""`mozzart db` on both databases: what it says, and with which code it ends."""

from __future__ import annotations

import pytest

from cli import exit_code
from cli.database import check, current, upgrade
from mailcore.settings import Settings
from mailcore.store import migration
from tests.support.stores import query


@pytest.mark.asyncio
async def test_tables_that_are_missing_late_or_lost_are_told_apart(
    store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings(_env_file=None, database_url=store_url)
    newest = migration.newest()

    async def checked() -> tuple[int, str]:
        code = await check(settings)
        said = capsys.readouterr()
        return code, said.out + said.err

    assert await current(settings) == exit_code.OK
    assert capsys.readouterr().out == "none\n"
    assert await checked() == (1, f"none: this version needs {newest}; run `mozzart db upgrade`\n")
    assert await upgrade(settings) == exit_code.OK
    assert "database upgraded" in capsys.readouterr().out
    assert await checked() == (0, f"{newest}: up to date\n")
    assert await upgrade(settings) == exit_code.OK
    assert "database is up to date" in capsys.readouterr().out

    await query(store_url, "UPDATE alembic_version SET version_num = '9999'")
    assert await checked() == (0, "9999: of a later version, which this one can use\n")
    assert await upgrade(settings) == exit_code.OK
    assert "they stay as they are" in capsys.readouterr().out
    assert await current(settings) == exit_code.OK
    assert capsys.readouterr().out == "9999\n"

    await query(store_url, "DROP TABLE mailbox_app_mailformeridentity")
    code, said = await checked()
    assert code == exit_code.FAILED
    assert said.startswith("9999: lacks mailbox_app_mailformeridentity; ")
