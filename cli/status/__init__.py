"""`mozzart status`: what runs, what is connected, how many messages are where."""
