"""The work of the workflow's stages, which commands call."""
