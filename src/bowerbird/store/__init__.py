"""What lasts: Delta tables, runs, the lock, the published set."""
