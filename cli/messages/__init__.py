"""`mozzart messages`: what is stored: searched, shown, saved."""
