"""What the syncer decides: set differences, generations, retries. Pure: the clock and chance are arguments."""
