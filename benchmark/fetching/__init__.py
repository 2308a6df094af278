"""Weights and datasets from where their authors published them."""
