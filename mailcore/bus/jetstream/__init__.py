"""JetStream: its API, publishing, pulling, reading, object store bodies and dead letters."""
