"""`mozzart accounts`: the accounts of the database."""
