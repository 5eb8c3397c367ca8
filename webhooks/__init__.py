"""Events by HTTP POST to a receiver (Standard Webhooks)."""
