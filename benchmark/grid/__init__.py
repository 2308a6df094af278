"""Cells, plans of them, and where they run."""
