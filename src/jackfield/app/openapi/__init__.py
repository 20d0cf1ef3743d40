"""GET /openapi.json: the calls of all doors in one OpenAPI document, kept as one file of data for each door."""
