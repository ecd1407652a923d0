"""Files, errors, provenance and progress; used by every other part."""
