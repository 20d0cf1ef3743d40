"""The only rooms with a way out: the pooled HTTP/1.1 client, the off-path client, and the gate in front of both."""
