"""The WebSocket door: many requests on one socket, and news of the gateway to whoever subscribes."""
