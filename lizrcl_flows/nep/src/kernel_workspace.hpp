// Memory of one run of atoms, and the neighbours of one atom laid out for the vector loops.
#pragma once
#include "lanes.hpp"

namespace {

using lizrcl::Model;
using lizrcl::Packing;
using lizrcl::Shape;
using lizrcl::Surroundings;

constexpr int virial_components = 6;

// Pairs of one atom, component by component, padded to whole blocks with pairs at the cutoff, which contribute nothing.
struct Pairs {
    double *x, *y, *z, *cutoff;
    std::int32_t *index, *type;
    int count;
};

struct Workspace {
    Pairs radial, angular;
    std::int32_t* radial_count;  // (types) pairs, padded
    double* radial_basis;        // [block][k][value, derivative][lanes]
    double* angular_basis;       // [k][value, derivative][lanes] of one block
    double* harmonics;           // [block][component][value, x, y, z][lanes]
    double* function;            // [pair][function]
    double* slope;               // [lane][function] of one block
    double* function_by_block;   // [block][function][value, derivative][lanes]
    double* moments;             // [t k]
    double* moment_gradient;     // [member][t k]
    double* radial_descriptor;   // [function]
    double* sums;                // [component][function]
    double* weights;             // dU/ds, like sums
    double* angular_descriptor;  // [invariant][function]
    double* angular_gradient;    // [invariant][function]
    double* descriptor;          // [row] of one member
    double* gradient;            // [member][row]
    double* neurons;             // dU/dz of one member
    double* own_force;           // [member][x, y, z][lanes]
    double* virial;              // [member][xx yy zz xy yz zx][lanes]
    double* push;                // [member][x, y, z][lanes]

    std::size_t divide(const Model& model, int most, char* memory) {
        const Shape& s = model.shape;
        const Packing& p = model.packing;
        std::size_t end = 0;
        const auto take = [&](std::size_t count) {
            char* begin = memory + end;
            end += (count * sizeof(double) + 63) / 64 * 64;
            return reinterpret_cast<double*>(begin);
        };
        const int kinds = s.types < most ? s.types : most;
        const std::size_t radial_most = padded(most) + std::size_t(kinds) * lanes, angular_most = padded(most);
        const auto take_pairs = [&](Pairs& pairs, std::size_t count) {
            pairs.x = take(count + lanes);
            pairs.y = take(count + lanes);
            pairs.z = take(count + lanes);
            pairs.cutoff = take(count + lanes);
            pairs.index = reinterpret_cast<std::int32_t*>(take(count + lanes));
            pairs.type = reinterpret_cast<std::int32_t*>(take(count + lanes));
        };
        take_pairs(radial, radial_most);
        take_pairs(angular, angular_most);
        radial_count = reinterpret_cast<std::int32_t*>(take(s.types));
        radial_basis = take(2 * s.radial_basis * radial_most);
        angular_basis = take(2 * s.angular_basis * lanes);
        harmonics = take(4 * s.components() * angular_most);
        function = take(p.angular_functions * angular_most);
        slope = take(p.angular_functions * lanes);
        function_by_block = take(2 * p.angular_functions * angular_most);
        moments = take(p.moments);
        moment_gradient = take(std::size_t(s.members) * p.moments);
        radial_descriptor = take(p.radial_functions);
        sums = take(std::size_t(s.components()) * p.angular_functions);
        weights = take(std::size_t(s.components()) * p.angular_functions);
        angular_descriptor = take(std::size_t(s.invariants()) * p.angular_functions);
        angular_gradient = take(std::size_t(s.invariants()) * p.angular_functions);
        descriptor = take(p.rows);
        gradient = take(std::size_t(s.members) * p.rows);
        neurons = take(p.neurons);
        own_force = take(std::size_t(s.members) * 3 * lanes);
        virial = take(std::size_t(s.members) * virial_components * lanes);
        push = take(std::size_t(s.members) * 3 * lanes);
        return end;
    }
};

inline void clear(double* p, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) p[i] = 0;
}

inline void pad(Pairs& pairs, double cutoff, int atom, int type) {
    for (; pairs.count % lanes != 0; ++pairs.count) {
        const int p = pairs.count;
        pairs.x[p] = pairs.cutoff[p] = cutoff;
        pairs.y[p] = pairs.z[p] = 0;
        pairs.index[p] = atom;
        pairs.type[p] = type;
    }
}

// Fills both lists; returns the number of angular pairs without padding.
inline int gather(const Model& model, const Surroundings& around, int atom, Workspace& work) {
    const int types = model.shape.types, own = around.types[atom];
    const double* centre = around.positions + 3 * atom;
    Pairs &radial = work.radial, &angular = work.angular;
    radial.count = angular.count = 0;
    for (int t = 0; t < types; ++t) {
        const double rc = model.radial_cutoff[own * types + t], rca = model.angular_cutoff[own * types + t];
        const double rc2 = rc * rc, rca2 = rca * rca;
        const std::int64_t* range = around.begin + std::int64_t(atom) * types + t;
        const int before = radial.count;
        for (std::int64_t n = range[0]; n < range[1]; ++n) {
            const lizrcl::Neighbour neighbour = around.neighbours[n];
            const double* r = around.positions + 3 * std::int64_t(neighbour.index);
            const double* shift = around.image_shift + 3 * std::int64_t(neighbour.image);
            const double x = r[0] + shift[0] - centre[0], y = r[1] + shift[1] - centre[1], z = r[2] + shift[2] - centre[2];
            const double d2 = x * x + y * y + z * z;
            const int p = radial.count, q = angular.count;
            radial.x[p] = angular.x[q] = x;
            radial.y[p] = angular.y[q] = y;
            radial.z[p] = angular.z[q] = z;
            radial.index[p] = angular.index[q] = neighbour.index;
            radial.cutoff[p] = rc;
            angular.cutoff[q] = rca;
            angular.type[q] = t;
            radial.count += d2 < rc2;
            angular.count += d2 < rca2;
        }
        pad(radial, rc, atom, t);
        work.radial_count[t] = radial.count - before;
    }
    const int count = angular.count;
    pad(angular, model.angular_cutoff[own * types], atom, 0);
    return count;
}

} // namespace
