// Vectors of eight numbers and the few functions of them that training needs.
//
// Included once per instruction set inside an anonymous namespace, so nothing here may use templates of the standard
// library: two translation units compiled for different processors must not share an inline function.
#pragma once
#include "train_layout.hpp"

namespace {

template <class Real>
struct Vector;
template <>
struct Vector<float> {
    typedef float type __attribute__((vector_size(8 * sizeof(float))));
    typedef std::int32_t integer __attribute__((vector_size(8 * sizeof(float))));
    static constexpr int mantissa = 23, bias = 127;
};
template <>
struct Vector<double> {
    typedef double type __attribute__((vector_size(8 * sizeof(double))));
    typedef std::int64_t integer __attribute__((vector_size(8 * sizeof(double))));
    static constexpr int mantissa = 52, bias = 1023;
};
template <class Real>
using V8 = typename Vector<Real>::type;

template <class Real>
inline V8<Real> splat(Real value) {
    return V8<Real>{value, value, value, value, value, value, value, value};
}

template <class Real>
inline Real sum(V8<Real> v) {
    const Real a = (v[0] + v[4]) + (v[2] + v[6]), b = (v[1] + v[5]) + (v[3] + v[7]);
    return a + b;
}

template <class Vec>
inline Vec select(decltype(Vec{} < Vec{}) mask, Vec yes, Vec no) {
    return mask ? yes : no;
}

// In place: rows become columns.
template <class Vec>
inline void transpose(Vec* r) {
    Vec a[8], b[8];
    for (int i = 0; i < 4; ++i) {
        a[2 * i] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        a[2 * i + 1] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    for (int i = 0; i < 8; i += 4) {
        for (int k = 0; k < 2; ++k) {
            b[i + k] = __builtin_shufflevector(a[i + k], a[i + k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            b[i + k + 2] = __builtin_shufflevector(a[i + k], a[i + k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    }
    for (int k = 0; k < 4; ++k) {
        r[k] = __builtin_shufflevector(b[k], b[k + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        r[k + 4] = __builtin_shufflevector(b[k], b[k + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

// The sums of eight vectors as one vector.
template <class Vec>
inline Vec sums(Vec* r) {
    transpose(r);
    return ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
}

// sin(pi y) and cos(pi y) for |y| <= 1/2 by their Taylor series.
template <class Real>
inline void sine_cosine_pi(V8<Real> y, V8<Real>& sine, V8<Real>& cosine) {
    constexpr int terms = sizeof(Real) == 4 ? 7 : 11;
    const V8<Real> t = y * Real(3.14159265358979323846), t2 = t * t;
    V8<Real> s = splat<Real>(1), c = splat<Real>(1);
    for (int n = terms; n >= 1; --n) {
        s = Real(1) - s * t2 * Real(1.0 / ((2.0 * n) * (2.0 * n + 1.0)));
        c = Real(1) - c * t2 * Real(1.0 / ((2.0 * n) * (2.0 * n - 1.0)));
    }
    sine = s * t;
    cosine = c;
}

// exp(y) for y <= 0; underflows to a number of the order of the smallest one.
template <class Real>
inline V8<Real> exponential(V8<Real> y) {
    using Integer = typename Vector<Real>::integer;
    constexpr int terms = sizeof(Real) == 4 ? 7 : 13;
    y = select(y < Real(-80), splat<Real>(-80), y);
    const Integer power = __builtin_convertvector(y * Real(1.44269504088896340736) - Real(0.5), Integer);
    const V8<Real> k = __builtin_convertvector(power, V8<Real>);
    const V8<Real> r = (y - k * Real(0.693145751953125)) - k * Real(1.42860682030941723212e-6);
    V8<Real> e = splat<Real>(1);
    for (int n = terms; n >= 1; --n) e = Real(1) + e * r * Real(1.0 / n);
    const Integer bits = (power + Vector<Real>::bias) << Vector<Real>::mantissa;
    return e * (V8<Real>)bits;  // the same bits read as numbers
}

template <class Real>
inline V8<Real> hyperbolic_tangent(V8<Real> z) {
    const V8<Real> e = exponential<Real>(select(z < Real(0), z, -z) * Real(2));
    const V8<Real> t = (Real(1) - e) / (Real(1) + e);
    return select(z < Real(0), -t, t);
}

} // namespace
