"""Predictions -> named metrics, intervals and rankings."""
