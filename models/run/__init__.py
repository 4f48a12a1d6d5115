"""Workflows at work: above all that they set in motion."""
