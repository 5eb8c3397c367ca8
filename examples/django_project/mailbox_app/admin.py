"""The admin: everything can be read, nothing can be changed, and "Sync mailbox now" is top right."""

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404
from django.shortcuts import get_object_or_404, redirect
from django.urls import path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from .models import MailAttachment, MailboxState, MailMessage
from .sync import SyncFailed, sync_now


class ReadOnlyAdmin(admin.ModelAdmin):
    """For tables that another program writes."""

    actions = None

    def has_add_permission(self, request, obj=None):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


@admin.register(MailboxState)
class MailboxStateAdmin(ReadOnlyAdmin):
    list_display = ("mailbox", "account", "last_push_at", "last_sync_at", "on_server", "stored_count", "last_error")

    @admin.display(description="on the server", ordering="message_count")
    def on_server(self, state):
        if state.message_count == state.stored_count:
            return state.message_count
        difference = f"{state.message_count - state.stored_count:+d}"
        return format_html('<strong style="color: var(--error-fg)">{} ({})</strong>', state.message_count, difference)

    def get_urls(self):
        sync = self.admin_site.admin_view(require_POST(self.sync))
        return [path("sync/", sync, name="mailbox_app_mailboxstate_sync"), *super().get_urls()]

    def sync(self, request):
        """The button: all mailboxes are compared with their servers now."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            run = sync_now()
        except SyncFailed as error:
            messages.error(request, f"Nothing was synced: {error}")
        else:
            self._tell(request, run)
        return redirect("admin:mailbox_app_mailboxstate_changelist")

    def _tell(self, request, run):
        if run["status"] == "running":
            messages.warning(request, "The sync is still running; reload this page in a moment.")
            return
        words = (
            f"{run['found']} found, {run['published']} published, {run['stored']} stored, {run['expunged']} expunged"
        )
        messages.success(request, f"Synced in {run['duration_ms']} ms: {words}.")
        for result in run["results"]:
            if result["error"]:
                messages.error(request, f"{result['account']}: {result['mailbox']}: {result['error']}")


class AttachmentInline(admin.TabularInline):
    model = MailAttachment
    fields = ("download", "content_type", "size", "inline")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request, obj=None):
        return False

    @admin.display(description="attachment")
    def download(self, attachment):
        address = reverse("admin:mailbox_app_mailmessage_attachment", args=[attachment.pk])
        return format_html('<a href="{}">{}</a>', address, attachment)


@admin.register(MailMessage)
class MailMessageAdmin(ReadOnlyAdmin):
    list_display = ("received_at", "from_email", "subject", "has_attachments", "mailbox")
    list_display_links = ("subject",)
    list_filter = ("mailbox", "has_attachments")
    list_select_related = ("mailbox",)
    search_fields = ("subject", "from_email", "from_name")
    date_hierarchy = "received_at"
    ordering = ("-received_at", "-id")
    show_full_result_count = False
    inlines = (AttachmentInline,)

    def get_queryset(self, request):
        """Without what retention emptied (MESSAGES_MAX_AGE)."""
        return super().get_queryset(request).filter(pruned_at=None)

    def get_urls(self):
        download = self.admin_site.admin_view(self.attachment)
        return [
            path("attachment/<int:pk>/", download, name="mailbox_app_mailmessage_attachment"),
            *super().get_urls(),
        ]

    def attachment(self, request, pk):
        """The file, as a download: what a stranger sent is never shown as a page of this site."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        attachment = get_object_or_404(MailAttachment, pk=pk)
        try:
            content = attachment.file.open("rb")
        except FileNotFoundError:
            raise Http404("The file is not in MEDIA_ROOT.") from None
        response = FileResponse(
            content,
            as_attachment=True,
            filename=attachment.filename or "attachment",
            content_type="application/octet-stream",
        )
        response["X-Content-Type-Options"] = "nosniff"
        response["Content-Security-Policy"] = "sandbox; default-src 'none'"
        return response
