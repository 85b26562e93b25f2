// The angular functions of NEP and their normalisation, computed by the compiler.
//
// Components of one l: m = 0, then real and imaginary part for m = 1..l:
//   b_l0 = Z_l0(z),  b_lm = Z_lm(z) Re (x + iy)^m and Z_lm(z) Im (x + iy)^m,
// where Z_lm is the m-th derivative of the Legendre polynomial P_l, its integer coefficients divided by their greatest
// common divisor. The weights make sum_m weight_m s_m^2 = (2l + 1)/(4 pi) sum_jk g_j g_k P_l(u_j . u_k), which is the
// addition theorem of the spherical harmonics.
#pragma once

namespace lizrcl {

inline constexpr int highest_l = 8;

struct HarmonicConstants {
    double polynomial[highest_l + 1][highest_l + 1][5]; // Z_lm as powers of z^2, times z where l - m is odd
    double weight[highest_l * (highest_l + 2)];         // of the components of l = 1, 2, ..
};

constexpr long long binomial(int n, int k) {
    long long value = 1;
    for (int i = 1; i <= k; ++i) value = value * (n - k + i) / i;
    return value;
}

constexpr long long common_divisor(long long a, long long b) {
    while (b != 0) {
        const long long rest = a % b;
        a = b;
        b = rest;
    }
    return a < 0 ? -a : a;
}

constexpr HarmonicConstants make_harmonics() {
    HarmonicConstants table{};
    constexpr double pi = 3.14159265358979323846;
    int component = 0;
    for (int l = 1; l <= highest_l; ++l) {
        for (int m = 0; m <= l; ++m) {
            // 2^l P_l(z) = sum_i (-1)^i C(l, i) C(2l - 2i, l) z^(l - 2i), differentiated m times
            long long coefficient[5] = {}, divisor = 0;
            for (int i = 0; l - 2 * i >= m; ++i) {
                long long c = (i % 2 != 0 ? -1 : 1) * binomial(l, i) * binomial(2 * l - 2 * i, l);
                for (int power = l - 2 * i; power > l - 2 * i - m; --power) c *= power;
                coefficient[(l - 2 * i - m) / 2] = c;
                divisor = common_divisor(divisor, c);
            }
            for (int i = 0; i < 5; ++i) table.polynomial[l][m][i] = double(coefficient[i] / divisor);
            const double scale = double(divisor) / double(1LL << l); // d^m P_l / dz^m = scale * Z_lm
            double ratio = 1;                                        // (l - m)! / (l + m)!
            for (int i = l - m + 1; i <= l + m; ++i) ratio /= i;
            const double weight = (2 * l + 1) / (4 * pi) * ratio * scale * scale * (m == 0 ? 1 : 2);
            table.weight[component++] = weight;
            if (m > 0) table.weight[component++] = weight;
        }
    }
    return table;
}

inline constexpr HarmonicConstants harmonic_constants = make_harmonics();

// Four-body invariant of the l = 2 components: factors of s0^3, s0 (s1^2 + s2^2), s0 (s3^2 + s4^2), s3 (s2^2 - s1^2)
// and s1 s2 s4, which stand as 1 : 18 : -9 : -54 : 108. Five-body invariant: factor of (s0^2 + s1^2 + s2^2)^2 of the
// l = 1 components.
inline constexpr double four_body_factor[5] = {-0.007499480826664, -0.134990654879954, 0.067495327439977,
                                               0.404971964639861, -0.809943929279723};
inline constexpr double five_body_factor = 0.026596810706114;

} // namespace lizrcl
