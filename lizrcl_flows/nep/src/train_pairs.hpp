// The part of training that runs over pairs: moments, the forces D G and the adjoint D^T of a force weight.
#pragma once
#include "train_basis.hpp"

namespace {

// Rows of a small matrix product that fit the vector registers together with their operands.
template <int NV>
inline constexpr int row_block = NV <= 1 ? 8 : NV == 2 ? 5 : NV == 3 ? 4 : NV <= 6 ? 2 : 1;

// What the backward pass needs of the forward pass, per atom.
template <class Real, int NV>
struct AtomScratch {
    static std::size_t vectors(const Shape& s) {
        const ParameterLayout l(s);
        return std::size_t(s.angular_moments() + 2 * s.angular) * NV +
               (l.moments + 2 * l.descriptors + 2 * l.neurons) / lanes;
    }
    AtomScratch(const Shape& shape, void* base, int row) {
        const ParameterLayout l(shape);
        xa = static_cast<V8<Real>*>(base) + vectors(shape) * row;
        s = xa + shape.angular_moments() * NV;
        g = s + shape.angular * NV;
        xr = reinterpret_cast<Real*>(g + shape.angular * NV);
        q = xr + l.moments;
        f = q + l.descriptors;
        x = f + l.descriptors;
        dz = x + l.neurons;
    }
    V8<Real>*xa, *s, *g; // moments, angular sums, dU/ds
    Real *xr, *q, *f;    // radial moments, scaled descriptors, dU/dq
    Real *x, *dz;        // hidden layer, dU/dz of its arguments
};

// Largest number of angular neighbours of one atom for which the adjoint keeps its intermediate values at once.
inline constexpr int pair_chunk = 64;

// What one thread needs while it works on one atom.
template <class Real, int NV>
struct Worker {
    static std::size_t vectors(const Shape& s) {
        const ParameterLayout l(s);
        return padded(s.radial_basis) + NV + std::size_t(s.angular_moments() + 2 * s.angular + 2 * pair_chunk) * NV +
               std::size_t(s.angular) * s.angular_moments() +
               (l.radial + l.moments + 2 * l.descriptors + 2 * l.neurons) / lanes;
    }
    Worker(const Shape& s, void* memory) {
        const ParameterLayout l(s);
        V8<Real>* next = static_cast<V8<Real>*>(memory);
        auto take = [&next](std::size_t count) {
            V8<Real>* begin = next;
            next += count;
            return begin;
        };
        lane_sums = take(padded(s.radial_basis));
        c3 = reinterpret_cast<Real*>(take(NV));
        adjoint = take(std::size_t(s.angular_moments()) * NV);
        change = take(s.angular * NV);
        g1 = take(s.angular * NV);
        pairs = take(2 * pair_chunk * NV);
        outer_lanes = take(std::size_t(s.angular) * s.angular_moments());
        radial = reinterpret_cast<Real*>(take(l.radial / lanes));
        radial_adjoint = reinterpret_cast<Real*>(take(l.moments / lanes));
        dq = reinterpret_cast<Real*>(take(l.descriptors / lanes));
        gq = reinterpret_cast<Real*>(take(l.descriptors / lanes));
        y = reinterpret_cast<Real*>(take(l.neurons / lanes));
        gz = reinterpret_cast<Real*>(take(l.neurons / lanes));
        for (int c = 0; c < NV * lanes; ++c) c3[c] = c < s.lm() ? Real(lizrcl::harmonic_constants.weight[c]) : Real(0);
        for (int i = s.radial_moments(); i < l.moments; ++i) radial_adjoint[i] = 0;
    }
    const V8<Real>* c3_vector() const { return reinterpret_cast<const V8<Real>*>(c3); }
    V8<Real>*lane_sums, *adjoint, *change, *g1, *pairs, *outer_lanes;
    Real *c3, *radial, *radial_adjoint, *dq, *gq, *y, *gz;
};

// Per block of pairs: derivative of the radial functions f_k and the unit vector.
template <class Real>
struct RadialScratch {
    static std::size_t vectors(const Shape& s) { return s.radial_basis + 3; }
    RadialScratch(const Shape& s, void* base, std::int64_t block) {
        fp = static_cast<V8<Real>*>(base) + vectors(s) * block;
        u = fp + s.radial_basis;
    }
    V8<Real>*fp, *u;
};

// Per block of pairs: f_k, their derivative and the unit vector by lane; harmonics and their gradient by pair.
template <class Real, int NV>
struct AngularScratch {
    static std::size_t vectors(const Shape& s) { return 2 * s.angular_basis + 3 + lanes * 4 * NV; }
    AngularScratch(const Shape& s, void* base, std::int64_t block) {
        f = static_cast<V8<Real>*>(base) + vectors(s) * block;
        fp = f + s.angular_basis;
        u = fp + s.angular_basis;
        b = u + 3;
    }
    V8<Real>*f, *fp, *u, *b; // b[pair][value, x, y, z][NV]
};

template <class Real, int NV>
ScratchSizes scratch_sizes(const Shape& s) {
    return ScratchSizes{AtomScratch<Real, NV>::vectors(s) * sizeof(V8<Real>),
                        RadialScratch<Real>::vectors(s) * sizeof(V8<Real>),
                        AngularScratch<Real, NV>::vectors(s) * sizeof(V8<Real>),
                        Worker<Real, NV>::vectors(s) * sizeof(V8<Real>)};
}

template <class Real>
inline V8<Real> load_lanes(const double* from) {
    V8<Real> v;
    for (int i = 0; i < lanes; ++i) v[i] = Real(from[i]);
    return v;
}

template <class Real>
void radial_moments(const Context& context, std::int64_t atom, int row, V8<Real>* sum_k, Real* moments) {
    const Shape& shape = context.shape;
    const Geometry& geometry = context.geometry;
    const int basis = shape.radial_basis, types = shape.types;
    const std::int64_t first = geometry.radial_block[atom * types];
    for (int t = 0; t < types; ++t) {
        for (int k = 0; k < padded(basis); ++k) sum_k[k] = splat<Real>(0);
        const V8<Real> cutoff = splat<Real>(Real(context.radial_cutoff[geometry.type[atom] * types + t]));
        for (std::int64_t b = geometry.radial_block[atom * types + t]; b < geometry.radial_block[atom * types + t + 1];
             ++b) {
            RadialScratch<Real> own(shape, context.radial_scratch, context.radial_place[row] + b - first);
            V8<Real> r[3];
            for (int c = 0; c < 3; ++c) r[c] = load_lanes<Real>(geometry.radial_vector[c] + b * lanes);
            const V8<Real> distance = square_root<Real>(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
            for (int c = 0; c < 3; ++c) own.u[c] = r[c] / distance;
            radial_functions<Real>(distance, cutoff, basis, own.fp,
                                   [sum_k](int k, V8<Real> f) { sum_k[k] += f; });
        }
        for (int k = 0; k < basis; k += lanes) {
            const V8<Real> total = sums(sum_k + k);
            for (int i = 0; i < lanes && k + i < basis; ++i) moments[t * basis + k + i] = total[i];
        }
    }
    for (int i = shape.radial_moments(); i < padded(shape.radial_moments()); ++i) moments[i] = 0;
}

// total[k][NV] += f_k(pair) value(pair)[NV] (+ g_k(pair) other(pair)[NV]) over pairs begin..end of one type.
template <class Real, int NV, bool two>
inline void sum_over_pairs(int begin, int end, int basis, const auto& block_of, const auto& value, V8<Real>* total) {
    constexpr int block = row_block<NV>;
    int k = 0;
    auto run = [&]<int R>() {
        V8<Real> sum_k[R][NV];
        for (int a = 0; a < R; ++a)
            for (int v = 0; v < NV; ++v) sum_k[a][v] = total[(k + a) * NV + v];
        for (int p = begin; p < end; ++p) {
            const auto& own = block_of(p / lanes);
            const V8<Real>* x = value(p, own);
            for (int a = 0; a < R; ++a) {
                const Real f = own.f[k + a][p % lanes];
                if constexpr (two) {
                    const Real fp = own.fp[k + a][p % lanes];
                    for (int v = 0; v < NV; ++v) sum_k[a][v] += fp * x[v] + f * x[NV + v];
                } else {
                    for (int v = 0; v < NV; ++v) sum_k[a][v] += f * x[v];
                }
            }
        }
        for (int a = 0; a < R; ++a)
            for (int v = 0; v < NV; ++v) total[(k + a) * NV + v] = sum_k[a][v];
        k += R;
    };
    while (k + block <= basis) run.template operator()<block>();
    while (k < basis) run.template operator()<1>();
}

template <class Real, int NV>
void angular_moments(const Context& context, std::int64_t atom, int row, V8<Real>* moments) {
    const Shape& shape = context.shape;
    const Geometry& geometry = context.geometry;
    const int types = shape.types, basis = shape.angular_basis;
    const std::int64_t first = geometry.angular_block[atom], place = context.angular_place[row];
    for (std::int64_t b = first; b < geometry.angular_block[atom + 1]; ++b) {
        AngularScratch<Real, NV> own(shape, context.angular_scratch, place + b - first);
        V8<Real> r[3], cutoff;
        for (int c = 0; c < 3; ++c) r[c] = load_lanes<Real>(geometry.angular_vector[c] + b * lanes);
        for (int i = 0; i < lanes; ++i)
            cutoff[i] = Real(context.angular_cutoff[geometry.type[atom] * types + geometry.angular_type[b * lanes + i]]);
        const V8<Real> distance = square_root<Real>(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
        const V8<Real> inverse = Real(1) / distance;
        for (int c = 0; c < 3; ++c) own.u[c] = r[c] * inverse;
        V8<Real>* f = own.f;
        radial_functions<Real>(distance, cutoff, basis, own.fp, [f](int k, V8<Real> value) { f[k] = value; });
        angular_functions<Real, NV>(shape.l_max, own.u, inverse, own.b);
    }
    for (int i = 0; i < shape.angular_moments() * NV; ++i) moments[i] = splat<Real>(0);
    auto block_of = [&](int b) { return AngularScratch<Real, NV>(shape, context.angular_scratch, place + b); };
    auto value = [](int p, const auto& own) { return own.b + (p % lanes) * 4 * NV; };
    for (int t = 0, begin = 0; t < types; ++t) {
        const int end = begin + geometry.angular_count[atom * types + t];
        sum_over_pairs<Real, NV, false>(begin, end, basis, block_of, value, moments + t * basis * NV);
        begin = end;
    }
}

// Forces and virial of one atom's pairs, summed over lanes when it is destroyed.
template <class Real>
struct ForceSum {
    explicit ForceSum(Unit& unit, int row) : unit(unit), row(row) {
        for (auto& v : total) v = splat<Real>(0);
    }
    void add(const double* const* vector, const std::int32_t* index, std::int64_t block, const V8<Real>* p) {
        V8<Real> r[3];
        for (int c = 0; c < 3; ++c) r[c] = load_lanes<Real>(vector[c] + block * lanes);
        for (int c = 0; c < 3; ++c) {
            total[c] += p[c];
            total[3 + c] += r[c] * p[c];
        }
        total[6] += r[0] * p[1];
        total[7] += r[1] * p[2];
        zx += r[2] * p[0];
        for (int i = 0; i < lanes; ++i) {
            double* f = unit.force + 3 * index[block * lanes + i];
            f[0] -= double(p[0][i]);
            f[1] -= double(p[1][i]);
            f[2] -= double(p[2][i]);
        }
    }
    ~ForceSum() {
        const V8<Real> t = sums(total);
        for (int c = 0; c < 3; ++c) unit.force[3 * row + c] += double(t[c]);
        for (int c = 0; c < 5; ++c) unit.virial[c] -= double(t[3 + c]);
        unit.virial[5] -= double(sum<Real>(zx));
    }
    Unit& unit;
    int row;
    V8<Real> total[8], zx = splat<Real>(0);
};

template <class Real, int NV>
void pair_forces(const Context& context, Unit& unit, std::int64_t atom, int a, const Real* radial,
                 const V8<Real>* angular) {
    const Shape& shape = context.shape;
    const Geometry& geometry = context.geometry;
    const int types = shape.types, row = unit.row + a;
    ForceSum<Real> force(unit, row - unit.structure_row);
    const std::int64_t first = geometry.radial_block[atom * types];
    for (int t = 0; t < types; ++t) {
        for (std::int64_t b = geometry.radial_block[atom * types + t]; b < geometry.radial_block[atom * types + t + 1];
             ++b) {
            RadialScratch<Real> own(shape, context.radial_scratch, context.radial_place[row] + b - first);
            V8<Real> w = splat<Real>(0);
            for (int k = 0; k < shape.radial_basis; ++k) w += radial[t * shape.radial_basis + k] * own.fp[k];
            const V8<Real> p[3] = {w * own.u[0], w * own.u[1], w * own.u[2]};
            force.add(geometry.radial_vector, geometry.radial_index, b, p);
        }
    }
    const std::int64_t first_angular = geometry.angular_block[atom];
    int t = 0, last_of_type = geometry.angular_count[atom * types], pair = 0, count = 0;
    for (int i = 0; i < types; ++i) count += geometry.angular_count[atom * types + i];
    for (std::int64_t b = first_angular; b < geometry.angular_block[atom + 1]; ++b) {
        AngularScratch<Real, NV> own(shape, context.angular_scratch, context.angular_place[row] + b - first_angular);
        V8<Real> part[4][lanes];
        for (auto& p : part)
            for (auto& v : p) v = splat<Real>(0);
        for (int i = 0; i < lanes && pair < count; ++i, ++pair) {
            while (pair == last_of_type) last_of_type += geometry.angular_count[atom * types + ++t];
            const V8<Real>* weight = angular + t * shape.angular_basis * NV;
            V8<Real> h[NV], g[NV];
            for (int v = 0; v < NV; ++v) h[v] = g[v] = splat<Real>(0);
            for (int k = 0; k < shape.angular_basis; ++k) {
                const Real f = own.f[k][i], fp = own.fp[k][i];
                for (int v = 0; v < NV; ++v) {
                    h[v] += f * weight[k * NV + v];
                    g[v] += fp * weight[k * NV + v];
                }
            }
            const V8<Real>* y = own.b + i * 4 * NV;
            for (int v = 0; v < NV; ++v) {
                part[3][i] += g[v] * y[v];
                for (int c = 0; c < 3; ++c) part[c][i] += h[v] * y[(c + 1) * NV + v];
            }
        }
        const V8<Real> w = sums(part[3]);
        V8<Real> p[3];
        for (int c = 0; c < 3; ++c) p[c] = sums(part[c]) + w * own.u[c];
        force.add(geometry.angular_vector, geometry.angular_index, b, p);
    }
}

// dL/dp of the pairs of one block, p being the pair force: forces act on both atoms, virials on the vector.
template <class Real>
inline void pair_weight(const Context& context, const Unit& unit, int row, const double* const* vector,
                        const std::int32_t* index, std::int64_t block, V8<Real>* out) {
    const double* own = context.force_weight + 3 * row;
    const double* others = context.force_weight + 3 * unit.structure_row;
    const double* w = context.virial_weight + 6 * unit.structure;
    V8<Real> r[3];
    for (int c = 0; c < 3; ++c) r[c] = load_lanes<Real>(vector[c] + block * lanes);
    for (int i = 0; i < lanes; ++i) {
        const double* other = others + 3 * index[block * lanes + i];
        for (int c = 0; c < 3; ++c) out[c][i] = Real(own[c] - other[c]);
    }
    out[0] -= Real(w[0]) * r[0] + Real(w[5]) * r[2];
    out[1] -= Real(w[1]) * r[1] + Real(w[3]) * r[0];
    out[2] -= Real(w[2]) * r[2] + Real(w[4]) * r[1];
}

template <class Real, int NV>
void pair_adjoint(const Context& context, const Unit& unit, std::int64_t atom, int a, Worker<Real, NV>& work) {
    const Shape& shape = context.shape;
    const Geometry& geometry = context.geometry;
    const int types = shape.types, row = unit.row + a, basis = shape.radial_basis;
    const std::int64_t first = geometry.radial_block[atom * types];
    for (int t = 0; t < types; ++t) {
        for (int k = 0; k < padded(basis); ++k) work.lane_sums[k] = splat<Real>(0);
        for (std::int64_t b = geometry.radial_block[atom * types + t]; b < geometry.radial_block[atom * types + t + 1];
             ++b) {
            RadialScratch<Real> own(shape, context.radial_scratch, context.radial_place[row] + b - first);
            V8<Real> v[3];
            pair_weight<Real>(context, unit, row, geometry.radial_vector, geometry.radial_index, b, v);
            const V8<Real> w = v[0] * own.u[0] + v[1] * own.u[1] + v[2] * own.u[2];
            for (int k = 0; k < basis; ++k) work.lane_sums[k] += w * own.fp[k];
        }
        for (int k = 0; k < basis; k += lanes) {
            const V8<Real> total = sums(work.lane_sums + k);
            for (int i = 0; i < lanes && k + i < basis; ++i) work.radial_adjoint[t * basis + k + i] = total[i];
        }
    }
    for (int i = 0; i < shape.angular_moments() * NV; ++i) work.adjoint[i] = splat<Real>(0);
    const std::int64_t first_angular = geometry.angular_block[atom], place = context.angular_place[row];
    auto block_of = [&](int b) { return AngularScratch<Real, NV>(shape, context.angular_scratch, place + b); };
    int count = 0;
    for (int i = 0; i < types; ++i) count += geometry.angular_count[atom * types + i];
    for (int chunk = 0; chunk < count; chunk += pair_chunk) {
        const int chunk_end = chunk + pair_chunk < count ? chunk + pair_chunk : count;
        for (int p = chunk; p < chunk_end; p += lanes) {
            const AngularScratch<Real, NV> own = block_of(p / lanes);
            V8<Real> v[3];
            pair_weight<Real>(context, unit, row, geometry.angular_vector, geometry.angular_index,
                              first_angular + p / lanes, v);
            const V8<Real> w = v[0] * own.u[0] + v[1] * own.u[1] + v[2] * own.u[2];
            for (int i = 0; i < lanes; ++i) {
                const V8<Real>* y = own.b + i * 4 * NV;
                V8<Real>* e = work.pairs + (p - chunk + i) * 2 * NV;
                for (int n = 0; n < NV; ++n) {
                    e[n] = w[i] * y[n];
                    e[NV + n] = v[0][i] * y[NV + n] + v[1][i] * y[2 * NV + n] + v[2][i] * y[3 * NV + n];
                }
            }
        }
        auto value = [&](int p, const auto&) { return work.pairs + (p - chunk) * 2 * NV; };
        for (int t = 0, begin = 0; t < types; ++t) {
            const int end = begin + geometry.angular_count[atom * types + t];
            const int from = begin > chunk ? begin : chunk, to = end < chunk_end ? end : chunk_end;
            if (from < to)
                sum_over_pairs<Real, NV, true>(from, to, shape.angular_basis, block_of, value,
                                               work.adjoint + t * shape.angular_basis * NV);
            begin = end;
        }
    }
}

} // namespace
