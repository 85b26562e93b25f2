// Python module _shapes: how well a perfect shape can be turned onto sets of points; csm.py says what it is for.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace nb = nanobind;

namespace {

using Sets = nb::ndarray<const double, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Numbers = nb::ndarray<double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// The sum t of the singular values is the largest root of t^4 - 2 I1 t^2 - 8 |det| t + I1^2 - 4 I2, where I1 and I2 are
// invariants of M^T M: the roots are the sums of the values with an even number of minus signs. Newton's method comes
// down to it from above, where the quartic is convex; unlike the eigenvalues, it loses no digits in the smallest value.
double sum_of_singular_values(const double m[3][3]) {
    double g[3][3];
    for (int i = 0; i < 3; ++i)
        for (int j = i; j < 3; ++j) g[i][j] = m[0][i] * m[0][j] + m[1][i] * m[1][j] + m[2][i] * m[2][j];
    const double first = g[0][0] + g[1][1] + g[2][2];
    const double second = g[0][0] * g[1][1] - g[0][1] * g[0][1] + g[0][0] * g[2][2] - g[0][2] * g[0][2] +
                          g[1][1] * g[2][2] - g[1][2] * g[1][2];
    const double determinant = std::abs(m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) -
                                        m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0]) +
                                        m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0]));
    double t = std::sqrt(3 * first);
    for (int step = 0; step < 60; ++step) {
        const double square = t * t;
        const double value = square * (square - 2 * first) - 8 * determinant * t + first * first - 4 * second;
        const double slope = 4 * t * (square - first) - 8 * determinant;
        if (!(slope > 0)) break;
        const double change = value / slope;
        t -= change;
        if (std::abs(change) <= 1e-15 * t) break;
    }
    return t;
}

// For each set of points the largest sum of singular values over all orders of the perfect shape.
void best_overlap(const Sets& points, const Sets& shapes, Numbers& found) {
    const std::size_t n_sets = points.shape(0), n_points = points.shape(1), n_orders = shapes.shape(0);
    nb::gil_scoped_release release;
    for (std::size_t set = 0; set < n_sets; ++set) {
        const double* p = points.data() + set * n_points * 3;
        double best = 0;
        for (std::size_t order = 0; order < n_orders; ++order) {
            const double* q = shapes.data() + order * n_points * 3;
            double m[3][3] = {};
            for (std::size_t k = 0; k < n_points; ++k)
                for (int i = 0; i < 3; ++i)
                    for (int j = 0; j < 3; ++j) m[i][j] += p[3 * k + i] * q[3 * k + j];
            best = std::max(best, sum_of_singular_values(m));
        }
        found.data()[set] = best;
    }
}

} // namespace

NB_MODULE(_shapes, m) {
    m.def("best_overlap", &best_overlap, nb::arg("points"), nb::arg("shapes"), nb::arg("found").noconvert());
}
