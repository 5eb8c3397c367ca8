"""The mail is read from Mozzart's database, and Django never makes or changes a table there."""

MAIL = "mail"


class MailRouter:
    """The models of this app live in the database `mail`."""

    def db_for_read(self, model, **hints):
        return MAIL if model._meta.app_label == "mailbox_app" else None

    db_for_write = db_for_read

    def allow_relation(self, one, other, **hints):
        return True if one._meta.app_label == other._meta.app_label == "mailbox_app" else None

    def allow_migrate(self, db, app_label, **hints):
        return False if db == MAIL or app_label == "mailbox_app" else None
