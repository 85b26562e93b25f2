// Vectors as wide as the instruction set and the functions of them that the kernels need.
//
// Included once per instruction set, in an anonymous namespace and without templates of the standard library: two
// files compiled for different processors must not share an inline function. LIZRCL_LANES is the number of lanes.
#pragma once
#include "kernel_layout.hpp"

namespace {

constexpr int lanes = LIZRCL_LANES;
typedef double Lanes __attribute__((vector_size(LIZRCL_LANES * sizeof(double))));
typedef std::int64_t LaneIntegers __attribute__((vector_size(LIZRCL_LANES * sizeof(double))));

inline Lanes load(const double* p) { return *reinterpret_cast<const Lanes*>(p); }
inline void store(double* p, Lanes v) { *reinterpret_cast<Lanes*>(p) = v; }
inline Lanes splat(double x) { return x - Lanes{}; }
constexpr int padded(int count) { return (count + lanes - 1) / lanes * lanes; }

inline double total(Lanes v) {
    double t = 0;
    for (int i = 0; i < lanes; ++i) t += v[i];
    return t;
}

inline Lanes square_root(Lanes v) {
    for (int i = 0; i < lanes; ++i) v[i] = __builtin_sqrt(v[i]);
    return v;
}

// Rows become columns, in place.
inline void transpose(Lanes* r) {
#if LIZRCL_LANES == 4
    const Lanes a = __builtin_shufflevector(r[0], r[1], 0, 4, 2, 6), b = __builtin_shufflevector(r[0], r[1], 1, 5, 3, 7);
    const Lanes c = __builtin_shufflevector(r[2], r[3], 0, 4, 2, 6), d = __builtin_shufflevector(r[2], r[3], 1, 5, 3, 7);
    r[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
    r[1] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
    r[2] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
    r[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
#else
    for (int i = 0; i < lanes; ++i)
        for (int j = 0; j < i; ++j) {
            const double x = r[i][j];
            r[i][j] = r[j][i];
            r[j][i] = x;
        }
#endif
}

// The totals of as many vectors as there are lanes, as one vector.
inline Lanes totals(Lanes* r) {
    transpose(r);
    Lanes t = r[0];
    for (int i = 1; i < lanes; ++i) t += r[i];
    return t;
}

// sin(pi y) and cos(pi y) for |y| <= 1/2 by their Taylor series.
inline void sine_cosine_pi(Lanes y, Lanes& sine, Lanes& cosine) {
    const Lanes t = y * 3.14159265358979323846, t2 = t * t;
    Lanes s = splat(1), c = splat(1);
#pragma GCC unroll 11
    for (int n = 11; n >= 1; --n) {
        s = 1.0 - s * t2 * (1.0 / ((2.0 * n) * (2.0 * n + 1.0)));
        c = 1.0 - c * t2 * (1.0 / ((2.0 * n) * (2.0 * n - 1.0)));
    }
    sine = s * t;
    cosine = c;
}

// tanh(z) = 1 - 2/(exp(2 z) + 1) with the exponential by range reduction and its Taylor series.
inline Lanes hyperbolic_tangent(Lanes z) {
    Lanes y = z * 2.0;
    y = y > 80.0 ? splat(80) : y;
    y = y < -80.0 ? splat(-80) : y;
    const Lanes shifted = y * 1.44269504088896340736 + 6755399441055744.0; // nearest integer in the low bits
    const Lanes k = shifted - 6755399441055744.0;
    const LaneIntegers power = (LaneIntegers)shifted - 0x4338000000000000LL;
    const Lanes r = (y - k * 0.693145751953125) - k * 1.42860682030941723212e-6;
    Lanes e = splat(1);
#pragma GCC unroll 13
    for (int n = 13; n >= 1; --n) e = 1.0 + e * r * (1.0 / n);
    e *= (Lanes)((power + 1023) << 52);
    return 1.0 - 2.0 / (e + 1.0);
}

} // namespace
