"""Prices and rates: dated data, integer millisatoshi."""
