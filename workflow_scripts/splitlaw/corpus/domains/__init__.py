"""Which domain a text belongs to: clusters discovered in a corpus, and the router."""
