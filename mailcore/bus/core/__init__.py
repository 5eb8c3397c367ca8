"""Core NATS: the connection of a process, its frames and headers, listening and requests."""
