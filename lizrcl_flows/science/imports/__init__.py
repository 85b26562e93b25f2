"""Results that were computed elsewhere: vasprun.xml, OUTCAR and extended XYZ, read into arrays and levels of theory."""
