"""In which order: makers that compose jobs, and what a user does with campaigns."""
