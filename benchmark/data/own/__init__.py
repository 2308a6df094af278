"""Datasets of a user's own: a YAML file says where images and labels lie, and what their bands and classes are.

What is read here passes through the same ingest, checks and records as GEO-Bench's files. Nothing in a file is
executed; code of torchgeo's runs where the YAML file names one of its datasets, and nowhere else.
"""
