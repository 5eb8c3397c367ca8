"""Event types ⇄ bytes, subjects, ids. Pure."""
