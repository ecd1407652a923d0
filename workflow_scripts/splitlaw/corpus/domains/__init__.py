"""Assignment of texts to domains: clusters discovered in a corpus, and the router."""
