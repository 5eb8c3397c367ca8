"""A message's HTML: what of it may be shown, made in a process of its own, and what of it can be read as text."""
