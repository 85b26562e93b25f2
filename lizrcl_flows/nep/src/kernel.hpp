// Energies, forces and virials of a committee, atom by atom.
//
// Included once per instruction set, with LIZRCL_KERNEL naming the function that hands out the kernel. For an atom i:
//   gather     its neighbours within the cutoffs
//   radial     q_n = sum_tk c[n][t k] X[t k], where X sums the Chebyshev functions over the neighbours of type t
//   angular    s_n,lm = sum_j g_n(r_ij) b_lm(u_ij) and the invariants of s
//   network    U_i and dU_i/dq
//   push       p_ij = dU_i/dr_ij, added to the forces of i, subtracted from those of j
#pragma once
#include "kernel_basis.hpp"
#include "kernel_repulsion.hpp"
#include "kernel_tiles.hpp"

namespace {

using lizrcl::Output;

inline Lanes distance(const Pairs& pairs, int p, Lanes* r) {
    r[0] = load(pairs.x + p);
    r[1] = load(pairs.y + p);
    r[2] = load(pairs.z + p);
    return square_root(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
}

inline void radial_part(const Model& model, const double* parameters, Workspace& work) {
    const int basis = model.shape.radial_basis;
    clear(work.moments, model.packing.moments);
    double* block = work.radial_basis;
    int p = 0;
    for (int t = 0; t < model.shape.types; ++t) {
        const int end = p + work.radial_count[t];
        if (p == end) continue;
        Lanes sum[most_basis + 8];
        for (int k = 0; k < padded(basis); ++k) sum[k] = splat(0);
        for (; p < end; p += lanes, block += 2 * basis * lanes) {
            Lanes r[3];
            const Lanes d = distance(work.radial, p, r);
            radial_functions(d, load(work.radial.cutoff + p), basis, block);
            for (int k = 0; k < basis; ++k) sum[k] += load(block + 2 * k * lanes);
        }
        for (int k = 0; k < basis; k += lanes) {
            const Lanes part = totals(sum + k);
            for (int i = 0; i < lanes && k + i < basis; ++i) work.moments[t * basis + k + i] = part[i];
        }
    }
    weighted_rows(parameters + model.packing.radial_forward, model.packing.radial_functions,
                  model.shape.types * basis, work.moments, model.packing.radial_functions, work.radial_descriptor);
}

inline void angular_part(const Model& model, const double* parameters, int pairs, Workspace& work) {
    const Shape& shape = model.shape;
    const int width = model.packing.angular_functions, components = shape.components();
    for (int p = 0; p < work.angular.count; p += lanes) {
        Lanes r[3];
        const Lanes d = distance(work.angular, p, r), inverse = 1.0 / d;
        for (Lanes& x : r) x *= inverse;
        radial_functions(d, load(work.angular.cutoff + p), shape.angular_basis, work.angular_basis);
        angular_functions(shape.l_max, r, inverse, work.harmonics + std::size_t(p) * 4 * components);
        for (int lane = 0; lane < lanes; ++lane) {
            const double* c = parameters + model.packing.angular + work.angular.type[p + lane] * model.packing.angular_pair;
            pair_functions(c, width, shape.angular_basis, work.angular_basis + lane,
                           work.function + std::size_t(p + lane) * width, work.slope + lane * width);
        }
        double* by_block = work.function_by_block + std::size_t(p) * 2 * width;
        for (int f = 0; f < width; f += lanes) {
            Lanes value[lanes], slope[lanes];
            for (int lane = 0; lane < lanes; ++lane) {
                value[lane] = load(work.function + std::size_t(p + lane) * width + f);
                slope[lane] = load(work.slope + lane * width + f);
            }
            transpose(value);
            transpose(slope);
            for (int i = 0; i < lanes; ++i) {
                store(by_block + 2 * (f + i) * lanes, value[i]);
                store(by_block + (2 * (f + i) + 1) * lanes, slope[i]);
            }
        }
    }
    angular_sums(pairs, components, width, work.harmonics, work.function, work.sums);
}

// Gradient of the four-body invariant with respect to the components of l = 2, and the invariant itself.
inline Lanes four_body(const Lanes* s, Lanes* g) {
    constexpr const double* a = lizrcl::four_body_factor;
    g[0] = 3.0 * a[0] * s[0] * s[0] + a[1] * (s[1] * s[1] + s[2] * s[2]) + a[2] * (s[3] * s[3] + s[4] * s[4]);
    g[1] = 2.0 * a[1] * s[0] * s[1] - 2.0 * a[3] * s[3] * s[1] + a[4] * s[2] * s[4];
    g[2] = 2.0 * a[1] * s[0] * s[2] + 2.0 * a[3] * s[3] * s[2] + a[4] * s[1] * s[4];
    g[3] = 2.0 * a[2] * s[0] * s[3] + a[3] * (s[2] * s[2] - s[1] * s[1]);
    g[4] = 2.0 * a[2] * s[0] * s[4] + a[4] * s[1] * s[2];
    return (s[0] * g[0] + s[1] * g[1] + s[2] * g[2] + s[3] * g[3] + s[4] * g[4]) * (1.0 / 3.0);
}

inline void invariants(const Shape& shape, int width, const double* sums, double* q) {
    for (int f = 0; f < width; f += lanes) {
        const double* s = sums + f;
        double* out = q + f;
        int c = 0;
        for (int l = 1; l <= shape.l_max; ++l, out += width) {
            Lanes value = splat(0);
            for (int m = 0; m < 2 * l + 1; ++m, ++c) {
                const Lanes x = load(s + c * width);
                value += lizrcl::harmonic_constants.weight[c] * x * x;
            }
            store(out, value);
        }
        if (shape.four_body) {
            Lanes part[5], g[5];
            for (int i = 0; i < 5; ++i) part[i] = load(s + (3 + i) * width);
            store(out, four_body(part, g));
            out += width;
        }
        if (shape.five_body) {
            const Lanes x = load(s), y = load(s + width), z = load(s + 2 * width), r = x * x + y * y + z * z;
            store(out, lizrcl::five_body_factor * r * r);
        }
    }
}

// weights = dU/ds from the gradient with respect to the invariants.
inline void invariants_gradient(const Shape& shape, int width, const double* sums, const double* gradient, double* weights) {
    for (int f = 0; f < width; f += lanes) {
        const double *s = sums + f, *in = gradient + f;
        double* out = weights + f;
        int c = 0;
        for (int l = 1; l <= shape.l_max; ++l, in += width) {
            const Lanes twice = 2.0 * load(in);
            for (int m = 0; m < 2 * l + 1; ++m, ++c)
                store(out + c * width, lizrcl::harmonic_constants.weight[c] * twice * load(s + c * width));
        }
        if (shape.four_body) {
            Lanes part[5], g[5];
            for (int i = 0; i < 5; ++i) part[i] = load(s + (3 + i) * width);
            four_body(part, g);
            for (int i = 0; i < 5; ++i)
                store(out + (3 + i) * width, load(out + (3 + i) * width) + load(in) * g[i]);
            in += width;
        }
        if (shape.five_body) {
            const Lanes x = load(s), y = load(s + width), z = load(s + 2 * width);
            const Lanes factor = 4.0 * lizrcl::five_body_factor * load(in) * (x * x + y * y + z * z);
            store(out, load(out) + factor * x);
            store(out + width, load(out + width) + factor * y);
            store(out + 2 * width, load(out + 2 * width) + factor * z);
        }
    }
}

inline void collect_descriptor(const Model& model, int member, const Workspace& work, double* q) {
    const Shape& s = model.shape;
    for (int n = 0; n < s.radial; ++n) *q++ = work.radial_descriptor[member * s.radial + n];
    for (int i = 0; i < s.invariants(); ++i)
        for (int n = 0; n < s.angular; ++n)
            *q++ = work.angular_descriptor[i * model.packing.angular_functions + member * s.angular + n];
}

// Energy of the atom for one member; leaves dU/dq in the member's row of `gradient`.
inline double network(const Model& model, const double* parameters, int member, Workspace& work) {
    const Packing& packing = model.packing;
    const double* w0 = parameters + packing.network + member * packing.network_size;
    const double* b0 = w0 + std::size_t(packing.rows) * packing.neurons;
    const double* w1 = b0 + packing.neurons;
    collect_descriptor(model, member, work, work.descriptor);
    weighted_rows(w0, packing.neurons, model.shape.descriptors(), work.descriptor, packing.neurons, work.neurons);
    Lanes energy = splat(0);
    for (int h = 0; h < packing.neurons; h += lanes) {
        const Lanes x = hyperbolic_tangent(load(work.neurons + h) - load(b0 + h)), w = load(w1 + h);
        energy += w * x;
        store(work.neurons + h, w * (1.0 - x * x));
    }
    double* gradient = work.gradient + member * packing.rows;
    row_products(w0, packing.neurons, packing.rows, work.neurons, gradient);
    const double* in = gradient + model.shape.radial;
    for (int i = 0; i < model.shape.invariants(); ++i)
        for (int n = 0; n < model.shape.angular; ++n)
            work.angular_gradient[i * packing.angular_functions + member * model.shape.angular + n] = *in++;
    return total(energy) - model.bias[member];
}

// Adds what a block of pairs pushes (work.push) to the forces and virials.
inline void apply(const Shape& shape, const Pairs& pairs, int p, int atoms, Workspace& work, double* force) {
    const Lanes x = load(pairs.x + p), y = load(pairs.y + p), z = load(pairs.z + p);
    for (int m = 0; m < shape.members; ++m) {
        const double* push = work.push + m * 3 * lanes;
        const Lanes px = load(push), py = load(push + lanes), pz = load(push + 2 * lanes);
        double* own = work.own_force + m * 3 * lanes;
        store(own, load(own) + px);
        store(own + lanes, load(own + lanes) + py);
        store(own + 2 * lanes, load(own + 2 * lanes) + pz);
        double* v = work.virial + m * virial_components * lanes;
        store(v, load(v) - x * px);
        store(v + lanes, load(v + lanes) - y * py);
        store(v + 2 * lanes, load(v + 2 * lanes) - z * pz);
        store(v + 3 * lanes, load(v + 3 * lanes) - x * py);
        store(v + 4 * lanes, load(v + 4 * lanes) - y * pz);
        store(v + 5 * lanes, load(v + 5 * lanes) - z * px);
        double* f = force + std::size_t(m) * atoms * 3;
        for (int lane = 0; lane < lanes; ++lane) {
            double* other = f + 3 * std::size_t(pairs.index[p + lane]);
            other[0] -= push[lane];
            other[1] -= push[lanes + lane];
            other[2] -= push[2 * lanes + lane];
        }
    }
}

inline void push_radial(const Model& model, const double* parameters, int atoms, Workspace& work, double* force) {
    const Shape& shape = model.shape;
    const Packing& packing = model.packing;
    const int basis = shape.radial_basis;
    for (int m = 0; m < shape.members; ++m)
        weighted_rows(parameters + packing.radial_backward + std::size_t(m) * shape.radial * packing.moments,
                      packing.moments, shape.radial, work.gradient + m * packing.rows, packing.moments,
                      work.moment_gradient + m * packing.moments);
    const double* block = work.radial_basis + lanes;
    int p = 0;
    for (int t = 0; t < shape.types; ++t) {
        for (const int end = p + work.radial_count[t]; p < end; p += lanes, block += 2 * basis * lanes) {
            Lanes r[3];
            const Lanes inverse = 1.0 / distance(work.radial, p, r);
            for (Lanes& x : r) x *= inverse;
            for (int m = 0; m < shape.members; ++m) {
                const double* g = work.moment_gradient + m * packing.moments + t * basis;
                Lanes even = load(block) * g[0], odd = splat(0);
                int k = 1;
                for (; k + 1 < basis; k += 2) {
                    odd += load(block + 2 * k * lanes) * g[k];
                    even += load(block + 2 * (k + 1) * lanes) * g[k + 1];
                }
                if (k < basis) odd += load(block + 2 * k * lanes) * g[k];
                even += odd;
                for (int x = 0; x < 3; ++x) store(work.push + (m * 3 + x) * lanes, even * r[x]);
            }
            apply(shape, work.radial, p, atoms, work, force);
        }
    }
}

inline void push_angular(const Model& model, int atoms, Workspace& work, double* force) {
    const Shape& shape = model.shape;
    const int width = model.packing.angular_functions, components = shape.components();
    for (int p = 0; p < work.angular.count; p += lanes) {
        Lanes r[3];
        const Lanes inverse = 1.0 / distance(work.angular, p, r);
        for (Lanes& x : r) x *= inverse;
        const double* b = work.harmonics + std::size_t(p) * 4 * components;
        const double* g = work.function_by_block + std::size_t(p) * 2 * width;
        for (int m = 0; m < shape.members; ++m) {
            Lanes slope = splat(0), gradient[3] = {slope, slope, slope};
            angular_forces(components, shape.angular, width, g + 2 * m * shape.angular * lanes,
                           work.weights + m * shape.angular, b, slope, gradient);
            for (int x = 0; x < 3; ++x) store(work.push + (m * 3 + x) * lanes, slope * r[x] + gradient[x]);
        }
        apply(shape, work.angular, p, atoms, work, force);
    }
}

void evaluate(const Model& model, const Surroundings& around, int from, int to, const Output& out, void* memory) {
    const Shape& shape = model.shape;
    int most = 0;
    for (int i = from; i < to; ++i) {
        const std::int64_t* range = around.begin + std::int64_t(i) * shape.types;
        const std::int64_t count = range[shape.types] - range[0];
        if (count > most) most = int(count);
    }
    Workspace work;
    work.divide(model, most, static_cast<char*>(memory));
    clear(work.virial, std::size_t(shape.members) * virial_components * lanes);
    clear(work.angular_gradient, std::size_t(shape.invariants()) * model.packing.angular_functions);
    for (int i = from; i < to; ++i) {
        const double* parameters = model.parameters + around.types[i] * model.packing.size;
        const int angular_pairs = gather(model, around, i, work);
        radial_part(model, parameters, work);
        angular_part(model, parameters, angular_pairs, work);
        invariants(shape, model.packing.angular_functions, work.sums, work.angular_descriptor);
        if (out.descriptor != nullptr) {
            double* q = out.descriptor + std::size_t(i) * shape.descriptors();
            collect_descriptor(model, 0, work, q);
            for (int d = 0; d < shape.descriptors(); ++d) q[d] *= model.scale[d];
            continue;
        }
        clear(work.own_force, std::size_t(shape.members) * 3 * lanes);
        double pairwise = 0;
        if (model.repulsion != nullptr)
            pairwise = push_repulsion(model, around.types[i], angular_pairs, around.atoms, work, out.force);
        for (int m = 0; m < shape.members; ++m) {
            const double energy = network(model, parameters, m, work) + pairwise;
            out.energy[m] += energy;
            if (out.atom_energy != nullptr) out.atom_energy[std::size_t(m) * around.atoms + i] = energy;
        }
        invariants_gradient(shape, model.packing.angular_functions, work.sums, work.angular_gradient, work.weights);
        push_radial(model, parameters, around.atoms, work, out.force);
        push_angular(model, around.atoms, work, out.force);
        for (int m = 0; m < shape.members; ++m)
            for (int x = 0; x < 3; ++x)
                out.force[(std::size_t(m) * around.atoms + i) * 3 + x] += total(load(work.own_force + (m * 3 + x) * lanes));
    }
    if (out.descriptor != nullptr) return;
    for (int v = 0; v < shape.members * virial_components; ++v) out.virial[v] += total(load(work.virial + v * lanes));
}

std::size_t workspace(const Model& model, int most_neighbours) {
    Workspace work;
    return work.divide(model, most_neighbours, nullptr);
}

} // namespace

namespace lizrcl {

Kernel LIZRCL_KERNEL() { return {lanes, workspace, evaluate}; }

} // namespace lizrcl
