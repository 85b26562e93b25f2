"""`lizrcl demo`: a whole campaign on this machine, watched from start to report."""
