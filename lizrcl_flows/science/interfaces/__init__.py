"""Interfaces of two crystals: matching planes, terminations, cells, candidates, the study's production cells."""
