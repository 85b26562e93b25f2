"""How ions and layers move: hops, maps along the normal of a slab, classes of displacements, layers and their glide."""
