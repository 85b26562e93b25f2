"""NEP potentials on any CPU: files, compiled evaluation of committees, training. Arrays in, arrays out."""
