"""Token files: flat little-endian integers beside a JSON sidecar.

Every document begins with the end-of-text token. Opening the files requires only NumPy; the modules
that train a tokenizer and write the files are imported by their commands.
"""

from splitlaw.tokens.files import Sidecar, open_documents, open_tokens, read_sidecar

__all__ = ["Sidecar", "open_documents", "open_tokens", "read_sidecar"]
