"""The Ollama door: answers, vectors and models as Ollama's clients ask for them."""
