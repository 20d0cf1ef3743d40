"""The panel: what is plugged where, and every operation on it."""
