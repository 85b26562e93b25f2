"""Labelling engines: energy, forces and stress of one structure at one level of theory."""
