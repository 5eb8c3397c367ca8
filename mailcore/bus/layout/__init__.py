"""What the processes share: streams and their subjects, buckets, durables. Pure data, as JetStream has it."""
