"""How the gateway keeps a WebSocket alive: what the server is set to, and what the doctor tells. Seconds."""

PING_EVERY_S = 20.0
PONG_WITHIN_S = 20.0
