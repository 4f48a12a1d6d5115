"""Workflows: what they say, their publishing, and the runs through their steps."""
