"""Chemical symbols up to plutonium, their atomic numbers, and the radii of GPUMD's typewise repulsion."""

_SYMBOLS = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb "
    "Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au "
    "Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu"
)
SYMBOLS = tuple(_SYMBOLS.split())
"""Symbols in order of the atomic number, from 1."""

ATOMIC_NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS, start=1)}

_COVALENT_RADII_PM = (
    "32 46 120 94 77 75 71 63 64 67 140 125 113 104 110 102 99 96 176 154 133 122 121 110 107 104 100 99 101 109 112 "
    "109 115 110 114 117 189 167 147 139 132 124 115 113 113 108 115 123 128 126 126 123 132 131 209 176 162 147 158 "
    "157 156 155 151 152 151 150 149 149 148 153 146 137 131 123 118 116 111 112 113 132 130 130 136 131 138 142 201 "
    "181 167 158 152 153 154 155"
)
# Pyykko and Atsumi, Chem. Eur. J. 15, 186 (2009), metals 10 % shorter as in Grimme et al., J. Chem. Phys. 132, 154104.

COVALENT_RADIUS_A = {
    symbol: float(f"{4 / 3 * float(radius) / 100:.6g}")
    for symbol, radius in zip(SYMBOLS, _COVALENT_RADII_PM.split(), strict=True)
}
"""Radii (A) that the typewise outer cutoff of the ZBL repulsion multiplies: 4/3 of the covalent radii.

Rounded to six digits as in GPUMD, so that energies agree to the last one.
"""
