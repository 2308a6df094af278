"""The documentation site: Markdown here, and in `generate/` what is made of configs, cards and docstrings."""
