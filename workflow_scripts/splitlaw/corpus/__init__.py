"""From sources to clean, split documents of every domain.

In the order of the data (`prepare.py` runs all of it):

- `sources/`: raw documents of files, data sets and packages
- `cleaning.py`: normalised text with its key and signature, kept in `document_store.py`
- `splitting.py`, `passages.py`: train, validation and test, by document or by passage
- `deduplication/`: exact and near duplicates, leaks of held-out text, benchmark items
- `domains/`: discovered clusters, and the router
- `placement.py`: the decisions on every document
- `documents.py`: the files that are written, and how to read them
"""
