"""The Gemini door: answers, vectors, token counts and models as Google's clients ask for them."""
