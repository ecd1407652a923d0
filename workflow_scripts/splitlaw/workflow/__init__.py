"""Checks before and after the jobs of a workflow, its display, its sessions and its manifest."""
