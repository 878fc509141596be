"""What Shop Pulse promises, as tests: one file per module."""
