// Neighbours of the atoms of one structure, in the order that the kernels want.
#include <algorithm>

#include "neighbours.hpp"
#include "train_evaluator.hpp"

namespace lizrcl::training {

// `order` sorts the atoms of the structure by type.
void DataSet::add_neighbours(const Structure& structure, std::span<const std::int32_t> order) {
    std::vector<std::int32_t> sorted_types;
    std::vector<double> positions;
    for (const std::int32_t i : order) {
        sorted_types.push_back(structure.types[i]);
        positions.insert(positions.end(), &structure.positions[3 * i], &structure.positions[3 * i] + 3);
    }
    NeighbourList list; // NEP training treats every structure as periodic along all three vectors
    list.build({int(order.size()), sorted_types.data(), structure.cell.data(), positions.data(), {}}, shape_.types,
               *std::ranges::max_element(radial_cutoff_));
    const Surroundings found = list.view();
    for (std::size_t i = 0; i < order.size(); ++i) add_atom(found, int(i));
}

void DataSet::add_atom(const Surroundings& found, int atom) {
    const int type = found.types[atom], types = shape_.types;
    int radial_count = 0, angular_total = 0;
    for (int t = 0; t < types; ++t) {
        const double radial_cutoff = radial_cutoff_[type * types + t];
        const double angular_cutoff = angular_cutoff_[type * types + t];
        int radial = 0, angular = 0;
        for (std::int64_t n = found.begin[atom * types + t]; n < found.begin[atom * types + t + 1]; ++n) {
            const Neighbour& other = found.neighbours[n];
            double r[3], square = 0;
            for (int c = 0; c < 3; ++c) {
                r[c] = found.positions[3 * other.index + c] + found.image_shift[3 * other.image + c] -
                       found.positions[3 * atom + c];
                square += r[c] * r[c];
            }
            if (square < radial_cutoff * radial_cutoff) {
                radial_.push(r, other.index);
                ++radial;
            }
            if (square < angular_cutoff * angular_cutoff) {
                angular_.push(r, other.index);
                angular_type_.push_back(std::uint8_t(t));
                ++angular;
            }
        }
        radial_.pad(radial_cutoff, atom);
        angular_count_.push_back(angular);
        radial_count += radial;
        angular_total += angular;
        radial_block_.push_back(std::int64_t(radial_.index.size()) / lanes);
    }
    angular_.pad(angular_cutoff_[type * types], atom);
    angular_type_.resize(angular_.index.size(), 0);
    angular_block_.push_back(std::int64_t(angular_.index.size()) / lanes);
    most_radial_ = std::max(most_radial_, radial_count);
    most_angular_ = std::max(most_angular_, angular_total);
}

void DataSet::Pairs::push(const double* r, std::int32_t other) {
    for (int c = 0; c < 3; ++c) vector[c].push_back(r[c]);
    index.push_back(other);
}

// Fills the last block with pairs at the cutoff, where all functions vanish.
void DataSet::Pairs::pad(double cutoff, std::int32_t own) {
    const double r[3] = {cutoff, 0, 0};
    while (index.size() % lanes != 0) push(r, own);
}

} // namespace lizrcl::training
