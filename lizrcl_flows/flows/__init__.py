"""In which order: makers that compose jobs."""
