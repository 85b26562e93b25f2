// Neighbours of the atoms of one structure, in the order that the kernels want.
#include "train_evaluator.hpp"

#include <algorithm>
#include <cmath>

namespace lizrcl::training {

namespace {

struct Neighbour {
    int type, index;
    double distance2;
    std::array<double, 3> vector;
};

std::vector<std::vector<Neighbour>> find(const Structure& s, std::span<const std::int32_t> order, double cutoff) {
    const int n = int(order.size());
    const auto& h = s.cell;
    auto cross = [](const double* a, const double* b) {
        return std::array<double, 3>{a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
    };
    int repeat[3];
    for (int d = 0; d < 3; ++d) {
        const auto normal = cross(&h[3 * ((d + 1) % 3)], &h[3 * ((d + 2) % 3)]);
        const double area = std::hypot(normal[0], normal[1], normal[2]);
        const double volume = std::abs(normal[0] * h[3 * d] + normal[1] * h[3 * d + 1] + normal[2] * h[3 * d + 2]);
        repeat[d] = int(std::ceil(cutoff / (volume / area))) + 1;
    }
    std::vector<std::vector<Neighbour>> found(n);
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j)
            for (int a = -repeat[0]; a <= repeat[0]; ++a)
                for (int b = -repeat[1]; b <= repeat[1]; ++b)
                    for (int c = -repeat[2]; c <= repeat[2]; ++c) {
                        std::array<double, 3> r;
                        for (int x = 0; x < 3; ++x)
                            r[x] = s.positions[3 * order[j] + x] - s.positions[3 * order[i] + x] + a * h[x] + b * h[3 + x] + c * h[6 + x];
                        const double d2 = r[0] * r[0] + r[1] * r[1] + r[2] * r[2];
                        if (d2 < cutoff * cutoff && d2 > 1e-12) found[i].push_back({s.types[order[j]], j, d2, r});
                    }
    return found;
}

} // namespace

void DataSet::add_neighbours(const Structure& structure, std::span<const std::int32_t> order) {
    const int types = shape_.types;
    const double longest = *std::ranges::max_element(radial_cutoff_);
    auto found = find(structure, order, longest);
    for (std::size_t i = 0; i < order.size(); ++i) {
        const int type = structure.types[order[i]];
        auto& all = found[i];
        std::ranges::stable_sort(all, {}, &Neighbour::type);
        auto next = all.begin();
        int radial_count = 0, angular_total = 0;
        for (int t = 0; t < types; ++t) {
            const double rc = radial_cutoff_[type * types + t], rca = angular_cutoff_[type * types + t];
            int radial = 0, angular = 0;
            for (; next != all.end() && next->type == t; ++next) {
                if (next->distance2 < rc * rc) {
                    for (int c = 0; c < 3; ++c) radial_vector_[c].push_back(next->vector[c]);
                    radial_index_.push_back(next->index);
                    ++radial;
                }
                if (next->distance2 < rca * rca) {
                    for (int c = 0; c < 3; ++c) angular_vector_[c].push_back(next->vector[c]);
                    angular_index_.push_back(next->index);
                    angular_type_.push_back(std::uint8_t(t));
                    ++angular;
                }
            }
            for (int pad = radial; pad < padded(radial); ++pad) {
                radial_vector_[0].push_back(rc);
                radial_vector_[1].push_back(0);
                radial_vector_[2].push_back(0);
                radial_index_.push_back(std::int32_t(i));
            }
            angular_count_.push_back(angular);
            radial_count += radial;
            angular_total += angular;
            radial_block_.push_back(std::int64_t(radial_index_.size()) / lanes);
        }
        for (int pad = angular_total; pad < padded(angular_total); ++pad) {
            angular_vector_[0].push_back(angular_cutoff_[type * types]);
            angular_vector_[1].push_back(0);
            angular_vector_[2].push_back(0);
            angular_index_.push_back(std::int32_t(i));
            angular_type_.push_back(0);
        }
        angular_block_.push_back(std::int64_t(angular_index_.size()) / lanes);
        most_radial_ = std::max(most_radial_, radial_count);
        most_angular_ = std::max(most_angular_, angular_total);
    }
}

} // namespace lizrcl::training
