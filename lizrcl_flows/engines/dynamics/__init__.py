"""Dynamics engines: one molecular-dynamics run."""
