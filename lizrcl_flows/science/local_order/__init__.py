"""Where the neighbours of an atom are: distances, coordination, shape and volume of polyhedra, shells and chains."""
