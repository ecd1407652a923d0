"""What the commands of the workflow's stages do."""
