"""What is true: pure functions on arrays and documents; no database, no workflow, no settings."""
