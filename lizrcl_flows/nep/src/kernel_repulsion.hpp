// Universal screened nuclear repulsion (Ziegler, Biersack, Littmark), the same for every member.
#pragma once
#include "kernel_workspace.hpp"

namespace {

using lizrcl::Repulsion;

// Half the pair energy (eV) of the universal screened nuclear repulsion, and half its slope (eV/A).
inline double repulsion(const Repulsion& pair, double r, double& slope) {
    constexpr double amplitude[4] = {0.18175, 0.50986, 0.28022, 0.02817};
    constexpr double decay[4] = {3.1998, 0.94229, 0.4029, 0.20162};
    double phi = 0, dphi = 0;
    for (int i = 0; i < 4; ++i) {
        const double rate = decay[i] * pair.inverse_length, term = amplitude[i] * __builtin_exp(-rate * r);
        phi += term;
        dphi -= rate * term;
    }
    double energy = pair.strength * phi / r, denergy = pair.strength * (dphi - phi / r) / r;
    if (r > pair.inner) {
        const double rate = 3.14159265358979323846 / (pair.outer - pair.inner), angle = rate * (r - pair.inner);
        const double w = 0.5 + 0.5 * __builtin_cos(angle), dw = -0.5 * rate * __builtin_sin(angle);
        denergy = denergy * w + energy * dw;
        energy *= w;
    }
    slope = 0.5 * denergy;
    return 0.5 * energy;
}

// Returns the energy of the atom; the same for every member.
inline double push_repulsion(const Model& model, int own, int pairs, int atoms, Workspace& work, double* force) {
    const int members = model.shape.members;
    double energy = 0;
    for (int p = 0; p < pairs; ++p) {
        const Pairs& a = work.angular;
        const Repulsion& pair = model.repulsion[own * model.shape.types + a.type[p]];
        const double r[3] = {a.x[p], a.y[p], a.z[p]};
        const double d = __builtin_sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
        if (d >= pair.outer) continue;
        double slope;
        energy += repulsion(pair, d, slope);
        slope /= d;
        for (int m = 0; m < members; ++m) {
            double* other = force + (std::size_t(m) * atoms + a.index[p]) * 3;
            double* v = work.virial + m * virial_components * lanes;
            for (int x = 0; x < 3; ++x) {
                const double push = slope * r[x];
                work.own_force[(m * 3 + x) * lanes] += push;
                other[x] -= push;
                v[x * lanes] -= r[x] * push;
                v[(3 + x) * lanes] -= r[x] * slope * r[(x + 1) % 3];
            }
        }
    }
    return energy;
}

} // namespace
