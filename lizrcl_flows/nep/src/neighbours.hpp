// Neighbour lists: any cell, any periodicity, several images of the same atom where the cell is small.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernel_layout.hpp"

namespace lizrcl {

// The geometry itself is unusable: not finite, a flat cell, two atoms at one place.
struct GeometryError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Periodicity {
    std::array<bool, 3> along{true, true, true};
};

// One frame as the caller holds it. Positions need not lie inside the cell.
struct FrameView {
    int atoms;
    const std::int32_t* types;
    const double* cell; // rows are the lattice vectors (A); rows of zeros are allowed along directions without period
    const double* positions;
    Periodicity periodic;
};

// Neighbours of every atom, sorted by type, as (atoms * types + 1) offsets into one array.
class NeighbourList {
public:
    // Finds all pairs closer than `reach` (A). The list does not depend on the number of threads.
    void build(const FrameView& frame, int types, double reach, int threads = 1);

    // Moves the wrapped positions and image shifts along with a frame whose atoms and cell have changed a little.
    void follow(const FrameView& frame);

    Surroundings view() const {
        return {atoms_, types_.data(), wrapped_.data(), shift_.data(), neighbours_.data(), begin_.data()};
    }
    int most_neighbours() const { return most_; }

private:
    struct Grid;
    struct Part;
    void wrap(const FrameView& frame, const std::array<double, 9>& cell, const std::array<double, 9>& inverse);
    Grid make_grid(const std::array<double, 9>& cell, const std::array<double, 9>& inverse, double reach) const;
    void search(const Grid& grid, int types, double reach, int threads);
    void search_atoms(const Grid& grid, int types, double reach, Part& part) const;
    [[noreturn]] void complain(int atom, std::span<const Neighbour> found) const;
    void shift_images(const std::array<double, 9>& cell);

    int atoms_ = 0, most_ = 0;
    Periodicity periodic_;
    std::array<int, 3> images_{}; // images reach from -images to +images
    std::vector<std::int32_t> types_;
    std::vector<double> wrapped_, shift_;
    std::vector<double> turns_; // (atoms, 3) whole lattice vectors added to a position when wrapping it
    std::vector<Neighbour> neighbours_;
    std::vector<std::int64_t> begin_;
};

// The cell with directions of zeros replaced by unit vectors normal to the others; throws where it is flat.
std::array<double, 9> complete_cell(const double* cell, const Periodicity& periodic);
std::array<double, 9> invert(const std::array<double, 9>& cell);

} // namespace lizrcl
