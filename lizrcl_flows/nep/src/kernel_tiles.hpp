// The few dense loops in which nearly all the time goes, in tiles that stay in registers.
#pragma once
#include "lanes.hpp"

namespace {

constexpr int most_sum_vectors = 3; // twelve sums, three functions and a factor fill sixteen registers

// out[v] = sum_row factor[row] * matrix[row][v]
template <int R>
inline void weighted_rows_tile(const double* matrix, int stride, int rows, const double* factor, double* out) {
    Lanes sum[R];
    for (int r = 0; r < R; ++r) sum[r] = splat(0);
    for (int row = 0; row < rows; ++row, matrix += stride)
        for (int r = 0; r < R; ++r) sum[r] += load(matrix + r * lanes) * factor[row];
    for (int r = 0; r < R; ++r) store(out + r * lanes, sum[r]);
}

inline void weighted_rows(const double* matrix, int stride, int rows, const double* factor, int width, double* out) {
    for (int v = 0; v < width;) {
        const int left = (width - v) / lanes;
        const int tile = left >= 8 ? 8 : left;
        switch (tile) {
        case 1: weighted_rows_tile<1>(matrix + v, stride, rows, factor, out + v); break;
        case 2: weighted_rows_tile<2>(matrix + v, stride, rows, factor, out + v); break;
        case 3: weighted_rows_tile<3>(matrix + v, stride, rows, factor, out + v); break;
        case 4: weighted_rows_tile<4>(matrix + v, stride, rows, factor, out + v); break;
        case 5: weighted_rows_tile<5>(matrix + v, stride, rows, factor, out + v); break;
        case 6: weighted_rows_tile<6>(matrix + v, stride, rows, factor, out + v); break;
        case 7: weighted_rows_tile<7>(matrix + v, stride, rows, factor, out + v); break;
        default: weighted_rows_tile<8>(matrix + v, stride, rows, factor, out + v); break;
        }
        v += tile * lanes;
    }
}

// out[row] = sum_v matrix[row][v] * vector[v], eight rows at a time.
inline void row_products(const double* matrix, int width, int rows, const double* vector, double* out) {
    for (int row = 0; row < rows; row += 8, matrix += 8 * width) {
        Lanes sum[8];
        for (int r = 0; r < 8; ++r) sum[r] = splat(0);
        for (int v = 0; v < width; v += lanes) {
            const Lanes x = load(vector + v);
            for (int r = 0; r < 8; ++r) sum[r] += load(matrix + r * width + v) * x;
        }
        for (int r = 0; r < 8; r += lanes) store(out + row + r, totals(sum + r));
    }
}

// The functions g of one pair and their derivatives: sum_k f_k c[k][function]. f is [k][value, derivative][lanes].
template <int R>
inline void pair_functions_tile(const double* c, int width, int basis, const double* f, double* g, double* dg) {
    Lanes value[R], slope[R];
    for (int r = 0; r < R; ++r) value[r] = slope[r] = splat(0);
    for (int k = 0; k < basis; ++k, c += width, f += 2 * lanes) {
        for (int r = 0; r < R; ++r) {
            const Lanes x = load(c + r * lanes);
            value[r] += x * f[0];
            slope[r] += x * f[lanes];
        }
    }
    for (int r = 0; r < R; ++r) {
        store(g + r * lanes, value[r]);
        store(dg + r * lanes, slope[r]);
    }
}

inline void pair_functions(const double* c, int width, int basis, const double* f, double* g, double* dg) {
    for (int v = 0; v < width;) {
        const int left = (width - v) / lanes;
        const int tile = left >= 5 ? 5 : left;
        switch (tile) {
        case 1: pair_functions_tile<1>(c + v, width, basis, f, g + v, dg + v); break;
        case 2: pair_functions_tile<2>(c + v, width, basis, f, g + v, dg + v); break;
        case 3: pair_functions_tile<3>(c + v, width, basis, f, g + v, dg + v); break;
        case 4: pair_functions_tile<4>(c + v, width, basis, f, g + v, dg + v); break;
        default: pair_functions_tile<5>(c + v, width, basis, f, g + v, dg + v); break;
        }
        v += tile * lanes;
    }
}

// s[component][function] = sum_j b[component] g[function] over the pairs of an atom.
// b is [block][component][value, x, y, z][lanes], g is [pair][function].
template <int R, int C>
inline void angular_sums_tile(int pairs, int components, int width, const double* b, const double* g, double* s) {
    Lanes sum[C][R];
    for (int c = 0; c < C; ++c)
        for (int r = 0; r < R; ++r) sum[c][r] = splat(0);
    for (int first = 0; first < pairs; first += lanes, b += 4 * components * lanes) {
        const int count = pairs - first < lanes ? pairs - first : lanes;
        for (int lane = 0; lane < count; ++lane, g += width) {
            Lanes function[R];
            for (int r = 0; r < R; ++r) function[r] = load(g + r * lanes);
            for (int c = 0; c < C; ++c) {
                const double y = b[4 * c * lanes + lane];
                for (int r = 0; r < R; ++r) sum[c][r] += function[r] * y;
            }
        }
    }
    for (int c = 0; c < C; ++c)
        for (int r = 0; r < R; ++r) store(s + c * width + r * lanes, sum[c][r]);
}

template <int R>
inline void angular_sums_columns(int pairs, int components, int width, const double* b, const double* g, double* s) {
    int c = 0;
    for (; c + 4 <= components; c += 4)
        angular_sums_tile<R, 4>(pairs, components, width, b + 4 * c * lanes, g, s + c * width);
    if (c < components) angular_sums_tile<R, 3>(pairs, components, width, b + 4 * c * lanes, g, s + c * width);
}

inline void angular_sums(int pairs, int components, int width, const double* b, const double* g, double* s) {
    for (int v = 0; v < width;) {
        const int left = (width - v) / lanes;
        const int tile = left >= most_sum_vectors ? most_sum_vectors : left;
        switch (tile) {
        case 1: angular_sums_columns<1>(pairs, components, width, b, g + v, s + v); break;
        case 2: angular_sums_columns<2>(pairs, components, width, b, g + v, s + v); break;
        default: angular_sums_columns<most_sum_vectors>(pairs, components, width, b, g + v, s + v); break;
        }
        v += tile * lanes;
    }
}

// Adds to slope and gradient what the weights F = dU/ds of one member give for one block of pairs:
//   slope = sum_c b_c sum_n F[c][n] g'_n,  gradient = sum_c grad b_c sum_n F[c][n] g_n.
// g is [n][value, derivative][lanes]; F is [component][function] with rows of `width`.
template <int C>
inline void angular_forces_tile(int functions, int width, const double* g, const double* weight, const double* b,
                                Lanes& slope, Lanes* gradient) {
    Lanes h[C], w[C];
    for (int c = 0; c < C; ++c) h[c] = w[c] = splat(0);
    for (int n = 0; n < functions; ++n, g += 2 * lanes) {
        const Lanes value = load(g), derivative = load(g + lanes);
        for (int c = 0; c < C; ++c) {
            const double f = weight[c * width + n];
            h[c] += value * f;
            w[c] += derivative * f;
        }
    }
    for (int c = 0; c < C; ++c, b += 4 * lanes) {
        slope += w[c] * load(b);
        gradient[0] += h[c] * load(b + lanes);
        gradient[1] += h[c] * load(b + 2 * lanes);
        gradient[2] += h[c] * load(b + 3 * lanes);
    }
}

inline void angular_forces(int components, int functions, int width, const double* g, const double* weight,
                           const double* b, Lanes& slope, Lanes* gradient) {
    int c = 0;
    for (; c + 4 <= components; c += 4)
        angular_forces_tile<4>(functions, width, g, weight + c * width, b + 4 * c * lanes, slope, gradient);
    if (c < components)
        angular_forces_tile<3>(functions, width, g, weight + c * width, b + 4 * c * lanes, slope, gradient);
}

} // namespace
