"""Batches of requests that the gateway answers by itself: taken in, asked line by line, gone on with after a restart."""
