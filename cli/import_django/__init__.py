"""`mozzart import-django`: what a `mailbox_app` of Django stored becomes ours, so that no sweep announces it again."""
