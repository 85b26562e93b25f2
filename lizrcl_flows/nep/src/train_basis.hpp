// Radial and angular functions of eight pairs at once, with derivatives.
#pragma once
#include "harmonics.hpp"
#include "train_vector.hpp"

namespace {

using namespace lizrcl::training;

template <class Real>
inline V8<Real> square_root(V8<Real> v) {
    for (int i = 0; i < lanes; ++i) v[i] = sizeof(Real) == 4 ? __builtin_sqrtf(float(v[i])) : __builtin_sqrt(double(v[i]));
    return v;
}

// f_k(r) = (T_k(x) + 1) f_c(r) / 2 with x = 2 (r/rc - 1)^2 - 1 and f_0 = f_c, handed to store; derivatives to fp.
template <class Real>
inline void radial_functions(V8<Real> distance, V8<Real> cutoff, int count, V8<Real>* fp, const auto& store) {
    const V8<Real> inverse = Real(1) / cutoff, t = distance * inverse;
    V8<Real> sine, cosine;
    sine_cosine_pi<Real>(t - Real(0.5), sine, cosine);
    const V8<Real> zero = splat<Real>(0);
    const auto inside = distance < cutoff;
    const V8<Real> fc = select(inside, Real(0.5) - Real(0.5) * sine, zero);
    const V8<Real> dfc = select(inside, Real(-0.5 * 3.14159265358979323846) * inverse * cosine, zero);
    const V8<Real> x = Real(2) * (t - Real(1)) * (t - Real(1)) - Real(1), dx = Real(4) * (t - Real(1)) * inverse;
    store(0, fc);
    fp[0] = dfc;
    V8<Real> before = splat<Real>(1), now = x, slope_before = zero, slope = dx;
    for (int k = 1; k < count; ++k) {
        const V8<Real> half = Real(0.5) * now + Real(0.5);
        store(k, half * fc);
        fp[k] = Real(0.5) * slope * fc + half * dfc;
        const V8<Real> next = Real(2) * x * now - before;
        const V8<Real> next_slope = Real(2) * (dx * now + x * slope) - slope_before;
        before = now;
        now = next;
        slope_before = slope;
        slope = next_slope;
    }
}

// Real harmonics b_lm of eight unit vectors and their gradients with respect to the vector r (inverse = 1/r),
// stored by pair: out[pair][value, x, y, z][NV].
template <class Real, int NV>
inline void angular_functions(int l_max, const V8<Real>* u, V8<Real> inverse, V8<Real>* out) {
    V8<Real> table[4][NV * lanes];
    V8<Real> re[10], im[10];
    re[0] = splat<Real>(1);
    im[0] = splat<Real>(0);
    for (int m = 1; m <= l_max; ++m) {
        re[m] = re[m - 1] * u[0] - im[m - 1] * u[1];
        im[m] = re[m - 1] * u[1] + im[m - 1] * u[0];
    }
    const V8<Real> z = u[2], z2 = z * z;
    int c = 0;
    auto put = [&](V8<Real> b, V8<Real> x, V8<Real> y, V8<Real> dz) {
        const V8<Real> along = x * u[0] + y * u[1] + dz * u[2];
        table[0][c] = b;
        table[1][c] = (x - along * u[0]) * inverse;
        table[2][c] = (y - along * u[1]) * inverse;
        table[3][c] = (dz - along * u[2]) * inverse;
        ++c;
    };
    for (int l = 1; l <= l_max; ++l) {
        for (int m = 0; m <= l; ++m) {
            // a polynomial in z^2, times z where l - m is odd
            const double* coefficient = lizrcl::harmonic_constants.polynomial[l][m];
            const int degree = (l - m) / 2;
            V8<Real> p = splat<Real>(Real(coefficient[degree])), dp = splat<Real>(0);
            for (int i = degree - 1; i >= 0; --i) {
                dp = dp * z2 + p;
                p = p * z2 + Real(coefficient[i]);
            }
            const bool odd = (l - m) % 2;
            const V8<Real> value = odd ? z * p : p, slope = odd ? p + Real(2) * z2 * dp : Real(2) * z * dp;
            if (m == 0) {
                put(value, splat<Real>(0), splat<Real>(0), slope);
            } else {
                const V8<Real> scaled = value * Real(m);
                put(value * re[m], scaled * re[m - 1], -scaled * im[m - 1], slope * re[m]);
                put(value * im[m], scaled * im[m - 1], scaled * re[m - 1], slope * im[m]);
            }
        }
    }
    for (; c < NV * lanes; ++c)
        for (auto& part : table) part[c] = splat<Real>(0);
    for (int part = 0; part < 4; ++part) {
        for (int v = 0; v < NV; ++v) {
            transpose(table[part] + v * lanes);
            for (int i = 0; i < lanes; ++i) out[(i * 4 + part) * NV + v] = table[part][v * lanes + i];
        }
    }
}

} // namespace
