"""The Anthropic door: messages, token counts and models as Claude's clients ask for them."""
