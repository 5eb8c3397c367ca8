"""What the processes share; it knows none of them."""
