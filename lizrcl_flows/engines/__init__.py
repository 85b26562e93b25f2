"""Who does the work: engine families for labelling, training, dynamics and selection."""
