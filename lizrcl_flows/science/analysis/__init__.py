"""Everything that is measured in one trajectory: collected in one pass, then analysed quantity by quantity."""
