// Forward pass (energies, forces, virials) and backward pass (gradient of a loss) over the atoms of one unit of work.
//
// Included once per instruction set, with LIZRCL_TRAINING_KERNELS naming the function that hands out the kernels.
// Real is the precision; NV the number of vectors that hold the (l, m) components of one angular sum.
#pragma once
#include "train_pairs.hpp"

namespace {

using lizrcl::five_body_factor;
using lizrcl::four_body_factor;

// f[lm] = weight of invariant l for radial function n, in every component of that l.
template <class Real, int NV>
inline void spread_over_components(const Shape& s, const Real* weight, int n, Real* f) {
    int c = 0;
    for (int l = 0; l < s.l_max; ++l) {
        const Real w = weight[s.radial + l * s.angular + n];
        for (int m = 0; m < 2 * l + 3; ++m) f[c++] = w;
    }
    for (; c < NV * lanes; ++c) f[c] = 0;
}

// Gradient of the four-body invariant with respect to the five components of l = 2, a quadratic form.
template <class Real>
inline void four_body_gradient(const Real* s, Real* g) {
    const Real A = Real(four_body_factor[0]), B = Real(four_body_factor[1]), C = Real(four_body_factor[2]),
               D = Real(four_body_factor[3]), E = Real(four_body_factor[4]);
    g[0] = 3 * A * s[0] * s[0] + B * (s[1] * s[1] + s[2] * s[2]) + C * (s[3] * s[3] + s[4] * s[4]);
    g[1] = 2 * B * s[0] * s[1] - 2 * D * s[3] * s[1] + E * s[2] * s[4];
    g[2] = 2 * B * s[0] * s[2] + 2 * D * s[3] * s[2] + E * s[1] * s[4];
    g[3] = 2 * C * s[0] * s[3] + D * (s[2] * s[2] - s[1] * s[1]);
    g[4] = 2 * C * s[0] * s[4] + E * s[1] * s[2];
}

// What a change d of the components does to that gradient, to first order.
template <class Real>
inline void four_body_hessian(const Real* s, const Real* d, Real* g) {
    const Real A = Real(four_body_factor[0]), B = Real(four_body_factor[1]), C = Real(four_body_factor[2]),
               D = Real(four_body_factor[3]), E = Real(four_body_factor[4]);
    g[0] = 6 * A * s[0] * d[0] + 2 * B * (s[1] * d[1] + s[2] * d[2]) + 2 * C * (s[3] * d[3] + s[4] * d[4]);
    g[1] = 2 * B * (s[0] * d[1] + d[0] * s[1]) - 2 * D * (s[3] * d[1] + d[3] * s[1]) + E * (s[2] * d[4] + d[2] * s[4]);
    g[2] = 2 * B * (s[0] * d[2] + d[0] * s[2]) + 2 * D * (s[3] * d[2] + d[3] * s[2]) + E * (s[1] * d[4] + d[1] * s[4]);
    g[3] = 2 * C * (s[0] * d[3] + d[0] * s[3]) + 2 * D * (s[2] * d[2] - s[1] * d[1]);
    g[4] = 2 * C * (s[0] * d[4] + d[0] * s[4]) + E * (s[1] * d[2] + d[1] * s[2]);
}

// Angular descriptors of one atom, q[(l, n)] behind the radial ones.
template <class Real, int NV>
inline void invariants(const Shape& shape, const V8<Real>* sums, const Real* c3, Real* q) {
    for (int n = 0; n < shape.angular; ++n) {
        const Real* s = reinterpret_cast<const Real*>(sums + n * NV);
        Real* out = q + shape.radial + n;
        int c = 0, invariant = 0;
        for (; invariant < shape.l_max; ++invariant) {
            Real total = 0;
            for (int m = 0; m < 2 * invariant + 3; ++m, ++c) total += c3[c] * s[c] * s[c];
            out[invariant * shape.angular] = total;
        }
        if (shape.four_body) {
            Real g[5];
            four_body_gradient(s + 3, g);
            out[invariant++ * shape.angular] =
                (s[3] * g[0] + s[4] * g[1] + s[5] * g[2] + s[6] * g[3] + s[7] * g[4]) / 3;
        }
        if (shape.five_body) {
            const Real r = s[0] * s[0] + s[1] * s[1] + s[2] * s[2];
            out[invariant * shape.angular] = Real(five_body_factor) * r * r;
        }
    }
}

// Change of the angular descriptors when the angular sums change by d.
template <class Real, int NV>
inline void invariants_derivative(const Shape& shape, const V8<Real>* sums, const V8<Real>* change, const Real* c3,
                                  Real* q) {
    for (int n = 0; n < shape.angular; ++n) {
        const Real* s = reinterpret_cast<const Real*>(sums + n * NV);
        const Real* d = reinterpret_cast<const Real*>(change + n * NV);
        Real* out = q + shape.radial + n;
        int c = 0, invariant = 0;
        for (; invariant < shape.l_max; ++invariant) {
            Real total = 0;
            for (int m = 0; m < 2 * invariant + 3; ++m, ++c) total += c3[c] * s[c] * d[c];
            out[invariant * shape.angular] = 2 * total;
        }
        if (shape.four_body) {
            Real g[5];
            four_body_gradient(s + 3, g);
            out[invariant++ * shape.angular] = d[3] * g[0] + d[4] * g[1] + d[5] * g[2] + d[6] * g[3] + d[7] * g[4];
        }
        if (shape.five_body) {
            const Real r = s[0] * s[0] + s[1] * s[1] + s[2] * s[2];
            out[invariant * shape.angular] = 4 * Real(five_body_factor) * r * (s[0] * d[0] + s[1] * d[1] + s[2] * d[2]);
        }
    }
}

// g = sum_l weight_l dq_l/ds; with a change d of s, its derivative along d (added to g).
template <class Real, int NV, bool second>
inline void invariants_gradient(const Shape& shape, const Real* weight, const V8<Real>* sums, const V8<Real>* change,
                                const V8<Real>* c3, V8<Real>* gradient) {
    for (int n = 0; n < shape.angular; ++n) {
        alignas(64) Real f[NV * lanes];
        spread_over_components<Real, NV>(shape, weight, n, f);
        const V8<Real>* v = (second ? change : sums) + n * NV;
        V8<Real>* g = gradient + n * NV;
        for (int i = 0; i < NV; ++i) {
            const V8<Real> value = Real(2) * c3[i] * reinterpret_cast<const V8<Real>*>(f)[i] * v[i];
            g[i] = second ? g[i] + value : value;
        }
        const Real* s = reinterpret_cast<const Real*>(sums + n * NV);
        const Real* d = reinterpret_cast<const Real*>(v);
        Real* out = reinterpret_cast<Real*>(g);
        int invariant = shape.l_max;
        if (shape.four_body) {
            const Real w = weight[shape.radial + invariant++ * shape.angular + n];
            Real h[5];
            if (second) four_body_hessian(s + 3, d + 3, h);
            else four_body_gradient(s + 3, h);
            for (int i = 0; i < 5; ++i) out[3 + i] += w * h[i];
        }
        if (shape.five_body) {
            const Real w = 4 * Real(five_body_factor) * weight[shape.radial + invariant * shape.angular + n];
            const Real r = s[0] * s[0] + s[1] * s[1] + s[2] * s[2];
            const Real dr = 2 * (s[0] * d[0] + s[1] * d[1] + s[2] * d[2]);
            for (int i = 0; i < 3; ++i) out[i] += second ? w * (dr * s[i] + r * d[i]) : w * r * s[i];
        }
    }
}

// out[row][NV] = sum_c matrix[row][c] in[c][NV], for the angular sums and their adjoint.
// With transposed = true the matrix is read as [c][row].
template <class Real, int NV, bool transposed>
inline void contract(const Real* matrix, int rows, int columns, const V8<Real>* in, V8<Real>* out) {
    constexpr int block = row_block<NV>;
    const int stride = transposed ? rows : columns;
    int row = 0;
    auto run = [&]<int R>() {
        V8<Real> total[R][NV];
        for (int a = 0; a < R; ++a)
            for (int v = 0; v < NV; ++v) total[a][v] = splat<Real>(0);
        for (int c = 0; c < columns; ++c) {
            for (int a = 0; a < R; ++a) {
                const Real m = transposed ? matrix[c * stride + row + a] : matrix[(row + a) * stride + c];
                for (int v = 0; v < NV; ++v) total[a][v] += m * in[c * NV + v];
            }
        }
        for (int a = 0; a < R; ++a)
            for (int v = 0; v < NV; ++v) out[(row + a) * NV + v] = total[a][v];
        row += R;
    };
    while (row + block <= rows) run.template operator()<block>();
    while (row < rows) run.template operator()<1>();
}

// total[a][c] += sum_v x[a][v] X[c][v] + y[a][v] Y[c][v], kept per lane and summed over the lanes at the end of a unit.
template <class Real, int NV>
inline void outer(const V8<Real>* x, const V8<Real>* y, int rows, const V8<Real>* X, const V8<Real>* Y, int columns,
                  V8<Real>* total) {
    constexpr int block = 3;
    int row = 0;
    auto run = [&]<int R>() {
        for (int c = 0; c < columns; ++c) {
            for (int a = 0; a < R; ++a) {
                V8<Real> t = total[(row + a) * columns + c];
                for (int v = 0; v < NV; ++v)
                    t += x[(row + a) * NV + v] * X[c * NV + v] + y[(row + a) * NV + v] * Y[c * NV + v];
                total[(row + a) * columns + c] = t;
            }
        }
        row += R;
    };
    while (row + block <= rows) run.template operator()<block>();
    while (row < rows) run.template operator()<1>();
}

// out[j] = sum_i x[i] matrix[i][j], columns in vectors.
template <class Real>
inline void multiply(const Real* x, const Real* matrix, int rows, int columns, Real* out) {
    const V8<Real>* m = reinterpret_cast<const V8<Real>*>(matrix);
    const int vectors = columns / lanes;
    int v = 0;
    auto run = [&]<int R>() {
        V8<Real> total[R];
        for (int a = 0; a < R; ++a) total[a] = splat<Real>(0);
        for (int i = 0; i < rows; ++i)
            for (int a = 0; a < R; ++a) total[a] += x[i] * m[i * vectors + v + a];
        for (int a = 0; a < R; ++a) reinterpret_cast<V8<Real>*>(out)[v + a] = total[a];
        v += R;
    };
    while (v + 8 <= vectors) run.template operator()<8>();
    while (v + 4 <= vectors) run.template operator()<4>();
    while (v < vectors) run.template operator()<1>();
}

// matrix[i][j] += x[i] a[j] + y[i] b[j]
template <class Real>
inline void add_outer(const Real* x, const Real* a, const Real* y, const Real* b, int rows, int columns, Real* matrix) {
    V8<Real>* m = reinterpret_cast<V8<Real>*>(matrix);
    const V8<Real>*va = reinterpret_cast<const V8<Real>*>(a), *vb = reinterpret_cast<const V8<Real>*>(b);
    const int vectors = columns / lanes;
    for (int i = 0; i < rows; ++i)
        for (int v = 0; v < vectors; ++v) m[i * vectors + v] += x[i] * va[v] + y[i] * vb[v];
}

template <class Real, int NV>
void forward(const Context& context, Unit& unit, void* worker) {
    const Shape& shape = context.shape;
    const ParameterLayout layout(shape);
    Worker<Real, NV> work(shape, worker);
    for (int i = 0; i < 6; ++i) unit.virial[i] = 0;
    for (int i = 0; i < 3 * unit.structure_atoms; ++i) unit.force[i] = 0;
    unit.energy = 0;
    for (int a = 0; a < unit.count; ++a) {
        const std::int64_t atom = unit.atom + a;
        AtomScratch<Real, NV> own(shape, context.atom_scratch, unit.row + a);
        const Real* p = static_cast<const Real*>(context.parameters) + layout.size * context.geometry.type[atom];
        const V8<Real>* scale = static_cast<const V8<Real>*>(context.scale);
        radial_moments<Real>(context, atom, unit.row + a, work.lane_sums, own.xr);
        angular_moments<Real, NV>(context, atom, unit.row + a, own.xa);
        contract<Real, NV, false>(p + layout.ca, shape.angular, shape.angular_moments(), own.xa, own.s);
        multiply(own.xr, p + layout.crt, shape.radial_moments(), layout.radial, work.radial);
        for (int n = 0; n < shape.radial; ++n) own.q[n] = work.radial[n];
        invariants<Real, NV>(shape, own.s, work.c3, own.q);
        for (int d = shape.descriptors(); d < layout.descriptors; ++d) own.q[d] = 0;
        V8<Real>* q = reinterpret_cast<V8<Real>*>(own.q);
        for (int v = 0; v < layout.descriptors / lanes; ++v) q[v] *= scale[v];
        multiply(own.q, p + layout.w0t, shape.descriptors(), layout.neurons, own.x);
        V8<Real>*x = reinterpret_cast<V8<Real>*>(own.x), *dz = reinterpret_cast<V8<Real>*>(own.dz);
        V8<Real> energy = splat<Real>(0);
        for (int v = 0; v < layout.neurons / lanes; ++v) {
            const V8<Real> w1 = reinterpret_cast<const V8<Real>*>(p + layout.w1)[v];
            x[v] = hyperbolic_tangent<Real>(x[v] - reinterpret_cast<const V8<Real>*>(p + layout.b0)[v]);
            energy += w1 * x[v];
            dz[v] = w1 * (Real(1) - x[v] * x[v]);
        }
        unit.energy += double(sum<Real>(energy)) - context.bias;
        multiply(own.dz, p + layout.w0, shape.neurons, layout.descriptors, own.f);
        V8<Real>* f = reinterpret_cast<V8<Real>*>(own.f);
        for (int v = 0; v < layout.descriptors / lanes; ++v) f[v] *= scale[v];
        invariants_gradient<Real, NV, false>(shape, own.f, own.s, nullptr, work.c3_vector(), own.g);
        contract<Real, NV, true>(p + layout.ca, shape.angular_moments(), shape.angular, own.g, work.adjoint);
        multiply(own.f, p + layout.cr, shape.radial, layout.moments, work.radial_adjoint);
        pair_forces<Real, NV>(context, unit, atom, a, work.radial_adjoint, work.adjoint);
    }
}

template <class Real, int NV>
void backward(const Context& context, Unit& unit, void* worker) {
    const Shape& shape = context.shape;
    const ParameterLayout layout(shape);
    Worker<Real, NV> work(shape, worker);
    const int moments = shape.angular_moments();
    const Real u = Real(context.energy_weight[unit.structure]);
    unit.bias_gradient -= double(u) * unit.count;
    for (int a = 0; a < unit.count; ++a) {
        const std::int64_t atom = unit.atom + a;
        AtomScratch<Real, NV> own(shape, context.atom_scratch, unit.row + a);
        const int type = context.geometry.type[atom];
        const Real* p = static_cast<const Real*>(context.parameters) + layout.size * type;
        Real* gradient = static_cast<Real*>(unit.gradient) + layout.gradient_size * type;
        const V8<Real>* scale = static_cast<const V8<Real>*>(context.scale);
        if (a == 0 || type != context.geometry.type[atom - 1])
            for (int i = 0; i < shape.angular * moments; ++i) work.outer_lanes[i] = splat<Real>(0);

        pair_adjoint<Real, NV>(context, unit, atom, a, work);
        multiply(work.radial_adjoint, p + layout.crt, shape.radial_moments(), layout.radial, work.radial);
        contract<Real, NV, false>(p + layout.ca, shape.angular, moments, work.adjoint, work.change);
        Real* dq = work.dq;
        for (int n = 0; n < shape.radial; ++n) dq[n] = work.radial[n];
        invariants_derivative<Real, NV>(shape, own.s, work.change, work.c3, dq);
        for (int d = shape.descriptors(); d < layout.descriptors; ++d) dq[d] = 0;
        for (int v = 0; v < layout.descriptors / lanes; ++v) reinterpret_cast<V8<Real>*>(dq)[v] *= scale[v];

        multiply(dq, p + layout.w0t, shape.descriptors(), layout.neurons, work.y);
        const V8<Real>*x = reinterpret_cast<const V8<Real>*>(own.x), *dz = reinterpret_cast<const V8<Real>*>(own.dz),
                      *y = reinterpret_cast<const V8<Real>*>(work.y);
        V8<Real>*gz = reinterpret_cast<V8<Real>*>(work.gz), *gb0 = reinterpret_cast<V8<Real>*>(gradient + layout.b0),
                *gw1 = reinterpret_cast<V8<Real>*>(gradient + layout.w1);
        for (int v = 0; v < layout.neurons / lanes; ++v) {
            gw1[v] += u * x[v] + (Real(1) - x[v] * x[v]) * y[v];
            gz[v] = u * dz[v] - Real(2) * dz[v] * x[v] * y[v];
            gb0[v] -= gz[v];
        }
        add_outer(work.gz, own.q, own.dz, dq, shape.neurons, layout.descriptors, gradient + layout.w0);
        multiply(work.gz, p + layout.w0, shape.neurons, layout.descriptors, work.gq);
        for (int v = 0; v < layout.descriptors / lanes; ++v) reinterpret_cast<V8<Real>*>(work.gq)[v] *= scale[v];
        add_outer(work.gq, own.xr, own.f, work.radial_adjoint, shape.radial, layout.moments, gradient + layout.cr);

        invariants_gradient<Real, NV, false>(shape, work.gq, own.s, nullptr, work.c3_vector(), work.g1);
        invariants_gradient<Real, NV, true>(shape, own.f, own.s, work.change, work.c3_vector(), work.g1);
        outer<Real, NV>(work.g1, own.g, shape.angular, own.xa, work.adjoint, moments, work.outer_lanes);
        if (a + 1 == unit.count || context.geometry.type[atom + 1] != type)
            for (int i = 0; i < shape.angular * moments; ++i) gradient[layout.ca + i] += sum<Real>(work.outer_lanes[i]);
    }
}

template <class Real, int NV>
void descriptors(const Context& context, const Unit& unit, double* rows) {
    const int count = context.shape.descriptors();
    for (int a = 0; a < unit.count; ++a) {
        AtomScratch<Real, NV> own(context.shape, context.atom_scratch, unit.row + a);
        for (int d = 0; d < count; ++d) rows[a * count + d] = double(own.q[d]);
    }
}

template <class Real, int NV>
Kernel kernel() {
    return Kernel{sizeof(Real), &scratch_sizes<Real, NV>, &forward<Real, NV>, &backward<Real, NV>,
                  &descriptors<Real, NV>};
}

template <class Real>
Kernel kernel_for(int l_max) {
    switch (padded(l_max * (l_max + 2)) / lanes) {
    case 1: return kernel<Real, 1>();
    case 2: return kernel<Real, 2>();
    case 3: return kernel<Real, 3>();
    case 5: return kernel<Real, 5>();
    case 6: return kernel<Real, 6>();
    case 8: return kernel<Real, 8>();
    default: return kernel<Real, 10>();
    }
}

} // namespace

namespace lizrcl::training {
Kernel LIZRCL_TRAINING_KERNELS(bool double_precision, int l_max) {
    return double_precision ? kernel_for<double>(l_max) : kernel_for<float>(l_max);
}
} // namespace lizrcl::training
