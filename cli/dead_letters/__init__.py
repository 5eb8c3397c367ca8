"""`mozzart dead-letters`: what could not be stored or delivered: listed, shown, sent once more, given up."""
