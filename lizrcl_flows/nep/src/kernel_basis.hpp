// Radial and angular functions of as many pairs as there are lanes, with derivatives.
#pragma once
#include "harmonics.hpp"
#include "lanes.hpp"

namespace {

constexpr int most_basis = 32;

// f_k(r) = (T_k(x) + 1) f_c(r) / 2 with x = 2 (r/rc - 1)^2 - 1 and f_0 = f_c; zero from the cutoff on.
// Stored as out[k][value, derivative][lanes].
inline void radial_functions(Lanes distance, Lanes cutoff, int count, double* out) {
    const Lanes inverse = 1.0 / cutoff, t = distance * inverse;
    Lanes sine, cosine;
    sine_cosine_pi(t - 0.5, sine, cosine);
    const Lanes zero = splat(0);
    const Lanes fc = distance < cutoff ? 0.5 - 0.5 * sine : zero;
    const Lanes dfc = distance < cutoff ? -0.5 * 3.14159265358979323846 * inverse * cosine : zero;
    const Lanes x = 2.0 * (t - 1.0) * (t - 1.0) - 1.0, dx = 4.0 * (t - 1.0) * inverse;
    store(out, fc);
    store(out + lanes, dfc);
    Lanes before = splat(1), now = x, slope_before = zero, slope = dx;
    for (int k = 1; k < count; ++k) {
        const Lanes half = 0.5 * now + 0.5;
        store(out + (2 * k) * lanes, half * fc);
        store(out + (2 * k + 1) * lanes, 0.5 * slope * fc + half * dfc);
        const Lanes next = 2.0 * x * now - before;
        const Lanes next_slope = 2.0 * (dx * now + x * slope) - slope_before;
        before = now;
        now = next;
        slope_before = slope;
        slope = next_slope;
    }
}

struct Direction {
    Lanes u[3], inverse; // unit vector and 1/r
    Lanes re[lizrcl::highest_l + 1], im[lizrcl::highest_l + 1]; // of (x + iy)^m
};

// Stores b and its gradient with respect to r, given the gradient with respect to u: out[value, x, y, z][lanes].
inline void put_component(const Direction& d, Lanes b, Lanes x, Lanes y, Lanes z, double* out) {
    const Lanes along = x * d.u[0] + y * d.u[1] + z * d.u[2];
    store(out, b);
    store(out + lanes, (x - along * d.u[0]) * d.inverse);
    store(out + 2 * lanes, (y - along * d.u[1]) * d.inverse);
    store(out + 3 * lanes, (z - along * d.u[2]) * d.inverse);
}

template <int l, int m>
inline void put_harmonics(const Direction& d, double* out) {
    constexpr int degree = (l - m) / 2;
    constexpr bool odd = (l - m) % 2 != 0;
    const Lanes z = d.u[2], z2 = z * z;
    Lanes p = splat(lizrcl::harmonic_constants.polynomial[l][m][degree]), dp = splat(0);
#pragma GCC unroll 4
    for (int i = degree - 1; i >= 0; --i) {
        dp = dp * z2 + p;
        p = p * z2 + lizrcl::harmonic_constants.polynomial[l][m][i];
    }
    const Lanes value = odd ? z * p : p, slope = odd ? p + 2.0 * z2 * dp : 2.0 * z * dp;
    if constexpr (m == 0) {
        put_component(d, value, splat(0), splat(0), slope, out);
    } else {
        const Lanes scaled = value * double(m);
        put_component(d, value * d.re[m], scaled * d.re[m - 1], -scaled * d.im[m - 1], slope * d.re[m], out);
        put_component(d, value * d.im[m], scaled * d.im[m - 1], scaled * d.re[m - 1], slope * d.im[m], out + 4 * lanes);
    }
    if constexpr (m < l) put_harmonics<l, m + 1>(d, out + (m == 0 ? 4 : 8) * lanes);
}

template <int l>
inline void put_up_to(const Direction& d, double* out) {
    if constexpr (l > 1) put_up_to<l - 1>(d, out);
    put_harmonics<l, 0>(d, out + (l - 1) * (l + 1) * 4 * lanes);
}

// All b_lm up to l_max: out[component][value, x, y, z][lanes].
inline void angular_functions(int l_max, const Lanes* u, Lanes inverse, double* out) {
    Direction d;
    for (int x = 0; x < 3; ++x) d.u[x] = u[x];
    d.inverse = inverse;
    d.re[0] = splat(1);
    d.im[0] = splat(0);
    for (int m = 1; m <= l_max; ++m) {
        d.re[m] = d.re[m - 1] * u[0] - d.im[m - 1] * u[1];
        d.im[m] = d.re[m - 1] * u[1] + d.im[m - 1] * u[0];
    }
    switch (l_max) {
    case 1: return put_up_to<1>(d, out);
    case 2: return put_up_to<2>(d, out);
    case 3: return put_up_to<3>(d, out);
    case 4: return put_up_to<4>(d, out);
    case 5: return put_up_to<5>(d, out);
    case 6: return put_up_to<6>(d, out);
    case 7: return put_up_to<7>(d, out);
    default: return put_up_to<8>(d, out);
    }
}

} // namespace
