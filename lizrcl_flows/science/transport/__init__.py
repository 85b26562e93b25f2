"""What follows from paths of ions besides the tracer diffusion coefficient: Haven ratio, conductivity, its temperature.

Pure functions of arrays; nothing here knows where the numbers come from.
"""
