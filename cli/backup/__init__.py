"""`mozzart backup` and `mozzart restore`: SQLite and the attachments, while everything runs."""
