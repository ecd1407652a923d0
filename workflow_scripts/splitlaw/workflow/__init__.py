"""Checks around the jobs of a workflow, its terminal output, its sessions and its manifest."""
