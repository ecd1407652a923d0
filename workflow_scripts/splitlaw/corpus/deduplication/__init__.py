"""Finding copies: of documents, of held-out documents in training text, and of benchmark items."""
