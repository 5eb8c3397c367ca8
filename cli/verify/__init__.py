"""`mozzart verify`: the server against the database, and the files against their rows."""
