"""Wire formats: pure, no I/O, used on both sides (doors decode requests and encode replies; adapters do the reverse)."""
