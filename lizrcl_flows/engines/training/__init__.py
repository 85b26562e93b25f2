"""Training engines: one committee member from a data set."""
