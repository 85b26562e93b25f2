// Cell-linked search with bins of about half the reach, so that few pairs are looked at in vain.
#include "neighbours.hpp"

#include <algorithm>
#include <cmath>

#include "workers.hpp"

namespace lizrcl {

namespace {

using Vector = std::array<double, 3>;

Vector cross(const double* a, const double* b) {
    return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

double norm(const double* a) { return std::sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2]); }

double determinant(const std::array<double, 9>& h) {
    const Vector n = cross(&h[3], &h[6]);
    return h[0] * n[0] + h[1] * n[1] + h[2] * n[2];
}

Vector multiply(const double* row, const std::array<double, 9>& m) {
    return {row[0] * m[0] + row[1] * m[3] + row[2] * m[6], row[0] * m[1] + row[1] * m[4] + row[2] * m[7],
            row[0] * m[2] + row[1] * m[5] + row[2] * m[8]};
}

// A run of bins of another or the same image of the cell, along one axis.
struct Step {
    int bin, last_bin, image;
};

constexpr int atoms_per_part = 256; // fewer are not worth a thread

// A unit vector normal to a (and to b where given).
Vector normal_to(const double* a, const double* b) {
    Vector n{};
    if (b != nullptr) {
        n = cross(a, b);
    } else {
        int least = 0;
        for (int x = 1; x < 3; ++x)
            if (std::abs(a[x]) < std::abs(a[least])) least = x;
        Vector axis{};
        axis[least] = 1;
        n = cross(a, axis.data());
    }
    const double length = norm(n.data());
    for (double& x : n) x /= length;
    return n;
}

} // namespace

std::array<double, 9> complete_cell(const double* cell, const Periodicity& periodic) {
    std::array<double, 9> h;
    std::copy(cell, cell + 9, h.begin());
    bool given[3];
    int count = 0;
    for (int d = 0; d < 3; ++d) {
        given[d] = norm(&h[3 * d]) > 0;
        if (!given[d] && periodic.along[d])
            throw GeometryError("lattice vector " + std::to_string(d + 1) +
                                " is zero although the frame is periodic along it");
        count += given[d];
    }
    if (count == 0) return {1, 0, 0, 0, 1, 0, 0, 0, 1};
    for (int d = 0; d < 3; ++d) {
        if (given[d]) continue;
        const int one = (d + 1) % 3, two = (d + 2) % 3;
        const double* a = given[one] ? &h[3 * one] : &h[3 * two];
        const double* b = given[one] && given[two] ? &h[3 * two] : nullptr;
        const Vector n = normal_to(a, b);
        std::copy(n.begin(), n.end(), h.begin() + 3 * d);
        given[d] = true;
    }
    const double volume = std::abs(determinant(h));
    if (!(volume > 1e-9 * norm(&h[0]) * norm(&h[3]) * norm(&h[6])))
        throw GeometryError("the cell has no volume");
    return h;
}

std::array<double, 9> invert(const std::array<double, 9>& h) {
    const double d = 1 / determinant(h);
    const Vector a = cross(&h[3], &h[6]), b = cross(&h[6], &h[0]), c = cross(&h[0], &h[3]);
    return {a[0] * d, b[0] * d, c[0] * d, a[1] * d, b[1] * d, c[1] * d, a[2] * d, b[2] * d, c[2] * d};
}

struct NeighbourList::Grid {
    std::array<int, 3> bins, range;
    std::array<std::vector<std::vector<Step>>, 3> steps; // what to look at from a bin, per axis
    std::vector<std::array<int, 3>> bin_of_atom;
    std::vector<std::int32_t> first, members; // atoms of every bin
    std::vector<double> x, y, z;              // positions in the order of the members (A)

    int flat(const std::array<int, 3>& b) const { return (b[0] * bins[1] + b[1]) * bins[2] + b[2]; }
};

void NeighbourList::wrap(const FrameView& frame, const std::array<double, 9>& cell,
                         const std::array<double, 9>& inverse) {
    for (int i = 0; i < atoms_; ++i) {
        const double* r = frame.positions + 3 * i;
        const Vector s = multiply(r, inverse);
        Vector turn{};
        for (int d = 0; d < 3; ++d) {
            if (!std::isfinite(s[d]))
                throw GeometryError("the position of atom " + std::to_string(i + 1) + " is not a finite number");
            if (periodic_.along[d]) turn[d] = -std::floor(s[d]);
            turns_[3 * i + d] = turn[d];
        }
        const Vector shift = multiply(turn.data(), cell);
        for (int x = 0; x < 3; ++x) wrapped_[3 * i + x] = r[x] + shift[x];
    }
}

NeighbourList::Grid NeighbourList::make_grid(const std::array<double, 9>& cell, const std::array<double, 9>& inverse,
                                             double reach) const {
    Grid grid;
    std::vector<Vector> fraction(atoms_);
    for (int i = 0; i < atoms_; ++i) fraction[i] = multiply(&wrapped_[3 * i], inverse);
    const double volume = std::abs(determinant(cell));
    const double most_bins = std::cbrt(4.0 * atoms_ + 64);
    for (int d = 0; d < 3; ++d) {
        const double height = volume / norm(cross(&cell[3 * ((d + 1) % 3)], &cell[3 * ((d + 2) % 3)]).data());
        double low = 0, width = 1;
        if (!periodic_.along[d] && atoms_ > 0) {
            const auto by_axis = [d](const Vector& a, const Vector& b) { return a[d] < b[d]; };
            const auto [least, largest] = std::minmax_element(fraction.begin(), fraction.end(), by_axis);
            low = (*least)[d];
            width = std::max((*largest)[d] - low, 1e-6) * (1 + 1e-12);
        }
        const double wanted = std::clamp(2 * height * width / reach, 1.0, std::max(1.0, most_bins));
        grid.bins[d] = int(wanted);
        grid.range[d] = int(std::ceil(reach / (height * width / grid.bins[d]) * (1 + 1e-9)));
        if (!periodic_.along[d]) grid.range[d] = std::min(grid.range[d], grid.bins[d] - 1);
        for (auto& f : fraction) f[d] = (f[d] - low) / width;
    }
    for (int d = 0; d < 3; ++d) {
        grid.steps[d].resize(grid.bins[d]);
        for (int b = 0; b < grid.bins[d]; ++b) {
            for (int o = -grid.range[d]; o <= grid.range[d]; ++o) {
                const int bin = ((b + o) % grid.bins[d] + grid.bins[d]) % grid.bins[d];
                const int image = (b + o - bin) / grid.bins[d];
                if (image != 0 && !periodic_.along[d]) continue;
                auto& steps = grid.steps[d][b];
                // bins along the last axis lie side by side in memory
                if (d == 2 && !steps.empty() && steps.back().image == image) steps.back().last_bin = bin;
                else steps.push_back({bin, bin, image});
            }
        }
    }
    grid.bin_of_atom.resize(atoms_);
    grid.first.assign(std::size_t(grid.bins[0]) * grid.bins[1] * grid.bins[2] + 1, 0);
    grid.members.resize(atoms_);
    for (int i = 0; i < atoms_; ++i) {
        for (int d = 0; d < 3; ++d)
            grid.bin_of_atom[i][d] = std::clamp(int(fraction[i][d] * grid.bins[d]), 0, grid.bins[d] - 1);
        ++grid.first[grid.flat(grid.bin_of_atom[i]) + 1];
    }
    for (std::size_t b = 1; b < grid.first.size(); ++b) grid.first[b] += grid.first[b - 1];
    std::vector<std::int32_t> next(grid.first.begin(), grid.first.end() - 1);
    for (int i = 0; i < atoms_; ++i) grid.members[next[grid.flat(grid.bin_of_atom[i])]++] = i;
    for (const int i : grid.members) {
        grid.x.push_back(wrapped_[3 * std::size_t(i)]);
        grid.y.push_back(wrapped_[3 * std::size_t(i) + 1]);
        grid.z.push_back(wrapped_[3 * std::size_t(i) + 2]);
    }
    return grid;
}

void NeighbourList::shift_images(const std::array<double, 9>& cell) {
    shift_.clear();
    for (int a = -images_[0]; a <= images_[0]; ++a)
        for (int b = -images_[1]; b <= images_[1]; ++b)
            for (int c = -images_[2]; c <= images_[2]; ++c)
                for (int x = 0; x < 3; ++x) shift_.push_back(a * cell[x] + b * cell[3 + x] + c * cell[6 + x]);
}

// The neighbours of a run of atoms.
struct NeighbourList::Part {
    int from, to;
    std::vector<Neighbour> neighbours;
    std::vector<std::int64_t> end; // (atoms * types) after the neighbours of one atom and type
};

void NeighbourList::search_atoms(const Grid& grid, int types, double reach, Part& part) const {
    std::vector<Neighbour> found;
    std::vector<std::int64_t> place(types);
    const int stride_b = 2 * images_[2] + 1, stride_a = stride_b * (2 * images_[1] + 1);
    const int no_shift = images_[0] * stride_a + images_[1] * stride_b + images_[2];
    const double reach2 = reach * reach;
    for (int i = part.from; i < part.to; ++i) {
        const double* ri = &wrapped_[3 * std::size_t(i)];
        const auto& home = grid.bin_of_atom[i];
        std::size_t count = 0;
        int coincident = 0; // with the atom itself among them
        for (const Step& a : grid.steps[0][home[0]])
            for (const Step& b : grid.steps[1][home[1]])
                for (const Step& c : grid.steps[2][home[2]]) {
                    const int image = no_shift + a.image * stride_a + b.image * stride_b + c.image;
                    const double* s = &shift_[3 * std::size_t(image)];
                    const double x = s[0] - ri[0], y = s[1] - ri[1], z = s[2] - ri[2];
                    const int row = grid.flat({a.bin, b.bin, 0});
                    const int first = grid.first[row + c.bin], last = grid.first[row + c.last_bin + 1];
                    if (found.size() < count + (last - first)) found.resize(2 * count + (last - first));
                    for (int m = first; m < last; ++m) {
                        const double dx = grid.x[m] + x, dy = grid.y[m] + y, dz = grid.z[m] + z;
                        const double d2 = dx * dx + dy * dy + dz * dz;
                        found[count] = {grid.members[m], image};
                        count += d2 < reach2;
                        coincident += d2 < 1e-12;
                    }
                }
        if (coincident > 1) complain(i, {found.data(), count});
        std::fill(place.begin(), place.end(), 0);
        for (std::size_t f = 0; f < count; ++f) {
            if (found[f].index == i && found[f].image == no_shift) found[f--] = found[--count];
            else ++place[types_[found[f].index]];
        }
        std::int64_t end = std::int64_t(part.neighbours.size());
        part.neighbours.resize(part.neighbours.size() + count);
        for (int t = 0; t < types; ++t) {
            const std::int64_t of_type = place[t];
            place[t] = end;
            part.end.push_back(end += of_type);
        }
        for (std::size_t f = 0; f < count; ++f) part.neighbours[place[types_[found[f].index]]++] = found[f];
    }
}

// Names the atom that is where atom i is.
void NeighbourList::complain(int i, std::span<const Neighbour> found) const {
    for (const Neighbour& n : found) {
        double d2 = 0;
        for (int x = 0; x < 3; ++x) {
            const double d = wrapped_[3 * std::size_t(n.index) + x] + shift_[3 * std::size_t(n.image) + x] -
                             wrapped_[3 * std::size_t(i) + x];
            d2 += d * d;
        }
        if (d2 < 1e-12 && n.index != i)
            throw GeometryError("atoms " + std::to_string(std::min(i, n.index) + 1) + " and " +
                                std::to_string(std::max(i, n.index) + 1) + " are at the same place");
    }
    throw GeometryError("atom " + std::to_string(i + 1) + " is at the place of its own image");
}

void NeighbourList::search(const Grid& grid, int types, double reach, int threads) {
    std::vector<Part> parts(std::clamp(atoms_ / atoms_per_part, 1, std::max(threads, 1)));
    const std::int64_t count = std::int64_t(parts.size());
    share(int(count), threads, [&](int piece, int) {
        Part& part = parts[piece];
        part.from = int(atoms_ * std::int64_t(piece) / count);
        part.to = int(atoms_ * std::int64_t(piece + 1) / count);
        search_atoms(grid, types, reach, part);
    });
    neighbours_ = std::move(parts[0].neighbours);
    begin_.assign(1, 0);
    most_ = 0;
    std::int64_t before = 0;
    for (std::size_t p = 0; p < parts.size(); ++p) {
        if (p > 0) neighbours_.insert(neighbours_.end(), parts[p].neighbours.begin(), parts[p].neighbours.end());
        for (const std::int64_t end : parts[p].end) begin_.push_back(before + end);
        before = std::int64_t(neighbours_.size());
    }
    for (int i = 0; i < atoms_; ++i) {
        const std::int64_t own = begin_[std::size_t(i + 1) * types] - begin_[std::size_t(i) * types];
        most_ = std::max(most_, int(own));
    }
}

void NeighbourList::build(const FrameView& frame, int types, double reach, int threads) {
    atoms_ = frame.atoms;
    periodic_ = frame.periodic;
    types_.assign(frame.types, frame.types + atoms_);
    wrapped_.resize(3 * std::size_t(atoms_));
    turns_.resize(3 * std::size_t(atoms_));
    const auto cell = complete_cell(frame.cell, periodic_);
    const auto inverse = invert(cell);
    wrap(frame, cell, inverse);
    const Grid grid = make_grid(cell, inverse, reach);
    for (int d = 0; d < 3; ++d)
        images_[d] = periodic_.along[d] ? (grid.range[d] + grid.bins[d] - 1) / grid.bins[d] : 0;
    double images = 1;
    for (int n : images_) images *= 2.0 * n + 1;
    if (images > 1e6) throw GeometryError("the cell is far thinner than the cutoff");
    shift_images(cell);
    search(grid, types, reach, threads);
}

void NeighbourList::follow(const FrameView& frame) {
    const auto cell = complete_cell(frame.cell, periodic_);
    for (int i = 0; i < atoms_; ++i) {
        const Vector shift = multiply(&turns_[3 * i], cell);
        for (int x = 0; x < 3; ++x) wrapped_[3 * i + x] = frame.positions[3 * i + x] + shift[x];
    }
    shift_images(cell);
}

} // namespace lizrcl
