"""The workflow's terminal output, its sessions and its manifest."""
