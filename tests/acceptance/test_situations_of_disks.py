"""While a disk is full or a database read-only no command and no probe says that all is well; afterwards each does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from tests.support.disks import Disk, disk
from tests.support.dovecot import Dovecot
from tests.support.postgres import Postgres
from tests.support.programs import need_program
from tests.support.truth import check_truth, installation, wait_well

DISKS = {"media": "MEDIA_ROOT", "database": "DATABASE_URL", "nats": "DATA_DIR"}


@contextmanager
def full(place: Disk) -> Iterator[None]:
    place.fill()
    try:
        yield
    finally:
        place.free()


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    need_program("dovecot", "dovecot-imapd")
    with closing(Dovecot()) as server:
        yield server.start()


@pytest.mark.parametrize("name", DISKS)
def test_nobody_says_that_all_is_well_while_a_disk_is_full(name: str, dovecot: Dovecot) -> None:
    with disk(64 << 20) as place, installation(dovecot, {"SYNC_INTERVAL": "3"}) as mozzart:
        mozzart.database.parent.mkdir()
        value = f"sqlite+aiosqlite:///{place.path}/mozzart.db" if name == "database" else str(place.path)
        mozzart.environment[DISKS[name]] = value
        mozzart.start().wait_ready().wait_live("idling")
        wait_well(mozzart)
        check_truth(mozzart, dovecot, full(place))


def test_nobody_says_that_all_is_well_while_the_database_is_read_only(
    dovecot: Dovecot, postgres: Postgres, postgres_url: str
) -> None:
    @contextmanager
    def read_only() -> Iterator[None]:
        postgres.configure(default_transaction_read_only="on")
        try:
            yield
        finally:
            postgres.configure(default_transaction_read_only="off")

    with installation(dovecot, {"SYNC_INTERVAL": "3", "DATABASE_URL": postgres_url}) as mozzart:
        mozzart.start().wait_ready().wait_live("idling")
        wait_well(mozzart)
        check_truth(mozzart, dovecot, read_only())
