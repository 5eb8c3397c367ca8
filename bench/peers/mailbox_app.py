"""django-mailbox as its documentation shows it: SQLite, attachments as files. It deletes from the server what it has.

python mailbox_app.py HOST PORT USER PASSWORD DIRECTORY
"""

from __future__ import annotations

import sys

import django
from django.conf import settings
from django.core.management import call_command


def main(host: str, port: str, user: str, password: str, home: str) -> None:
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{home}/mail.db"}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        INSTALLED_APPS=["django.contrib.contenttypes", "django_mailbox"],
        MEDIA_ROOT=home,
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    from django_mailbox.models import Mailbox  # not before the settings are there

    mailbox = Mailbox.objects.create(name="bench", uri=f"imap://{user}:{password}@{host}:{port}")
    for _ in mailbox.get_new_mail():
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
