"""Mozzart's three tables as unmanaged models. Read them; Mozzart writes them."""

from django.db import models


class MailboxState(models.Model):
    """A mailbox, as the syncer last saw it."""

    account = models.TextField()
    mailbox = models.TextField()
    uidvalidity = models.BigIntegerField(null=True)
    uidnext = models.BigIntegerField(null=True)
    last_uid = models.BigIntegerField(null=True)
    message_count = models.BigIntegerField()
    stored_count = models.BigIntegerField()
    last_push_at = models.DateTimeField(null=True)
    last_sync_at = models.DateTimeField(null=True)
    last_sync_status = models.CharField(max_length=20)
    last_error = models.TextField()
    last_error_at = models.DateTimeField(null=True)
    refused = models.JSONField()

    class Meta:
        managed = False
        db_table = "mailbox_app_mailboxstate"
        verbose_name = "mailbox state"

    def __str__(self):
        return f"{self.account}: {self.mailbox}"


class MailMessage(models.Model):
    """A message; `expunged_at` is set when the server has it no longer."""

    mailbox = models.ForeignKey(MailboxState, models.DO_NOTHING, related_name="messages")
    uidvalidity = models.BigIntegerField()
    uid = models.BigIntegerField()
    message_id = models.TextField()
    subject = models.TextField()
    from_name = models.TextField()
    from_email = models.TextField()
    to_emails = models.JSONField()
    cc_emails = models.JSONField()
    reply_to = models.JSONField()
    in_reply_to = models.TextField()
    references_ids = models.JSONField()
    sent_at = models.DateTimeField(null=True)
    received_at = models.DateTimeField()
    size = models.BigIntegerField()
    flags = models.JSONField()
    headers = models.JSONField()
    body_text = models.TextField()
    body_html = models.TextField()
    sha256 = models.CharField(max_length=64)
    has_attachments = models.BooleanField()
    defects = models.JSONField()
    stored_at = models.DateTimeField()
    expunged_at = models.DateTimeField(null=True)
    pruned_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "mailbox_app_mailmessage"
        verbose_name = "message"

    def __str__(self):
        return self.subject or "(no subject)"


class MailAttachment(models.Model):
    """An attachment; `file` is its path below MEDIA_ROOT, `filename` what the sender called it."""

    message = models.ForeignKey(MailMessage, models.DO_NOTHING, related_name="attachments")
    part_id = models.TextField()
    filename = models.TextField()
    content_type = models.TextField()
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    content_id = models.TextField()
    inline = models.BooleanField()
    file = models.FileField(max_length=500)

    class Meta:
        managed = False
        db_table = "mailbox_app_mailattachment"
        verbose_name = "attachment"

    def __str__(self):
        return self.filename or self.part_id
