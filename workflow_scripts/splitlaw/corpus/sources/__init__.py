"""Where documents come from: files, data sets of the Hugging Face hub, and installed packages."""
