"""The control door: slots, providers, discovery and events, for people and tools."""
