"""What every generation is tried on beside its labels: energy-volume curves, hops of ions, maps, gates."""
