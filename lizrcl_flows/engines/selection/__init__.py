"""Selection engines: which candidates are worth a label."""
