"""The composition root: settings, wiring, server, command line."""
