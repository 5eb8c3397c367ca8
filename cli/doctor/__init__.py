"""`mozzart doctor`: does everything that is needed work, and if not, what to do."""
