"""`mozzart tokens`: the tokens of programs that use the api."""
