"""The OpenAI door: chat completions and models."""
