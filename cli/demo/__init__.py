"""`mozzart demo`: everything on one machine, with an embedded IMAP server and a story that delivers mail."""
