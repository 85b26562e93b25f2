// A data set with its targets, and the loss and gradient over a list of its structures.
#pragma once
#include "train_layout.hpp"
#include "train_pool.hpp"

#include <array>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

namespace lizrcl {
struct Surroundings;
}

namespace lizrcl::training {

// Selects kernels for this processor; `instruction_set` is "" for the best, or the name of one.
Kernel choose_kernel(bool double_precision, int l_max, const std::string& instruction_set = "");
std::string best_instruction_set();

// Memory that starts at a cache line, grows and keeps its place between calls.
class Buffer {
public:
    void* reserve(std::size_t bytes) {
        if (bytes > size_) {
            memory_.reset(static_cast<char*>(::operator new(bytes, std::align_val_t(64))));
            size_ = bytes;
        }
        return memory_.get();
    }
    void* memory() const { return memory_.get(); }

private:
    struct Release {
        void operator()(char* p) const { ::operator delete(p, std::align_val_t(64)); }
    };
    std::unique_ptr<char, Release> memory_;
    std::size_t size_ = 0;
};

struct Structure {
    std::vector<std::int32_t> types;  // (N)
    std::array<double, 9> cell;       // rows are the lattice vectors (A)
    std::vector<double> positions;    // (N, 3) (A)
    double energy;                    // eV
    std::vector<double> forces;       // (N, 3) eV/A
    std::array<double, 6> virial;     // xx yy zz xy yz zx (eV)
    bool has_virial;
    double energy_weight;             // factor of the squared energy error
    double weight;                    // factor of all errors, not of their squares
};

struct ForceWeights {
    std::vector<double> by_type; // factor of the force error of atoms of a type
    double delta = 0;            // eV/A, squared errors are multiplied by delta / (delta + |F_ref|) where positive
    double shear = 1;            // factor of the errors of the xy, yz and zx virials
};

struct Request {
    std::span<const double> parameters; // in the order of nep.txt
    std::span<const double> scale;      // q_scaler
    std::span<const std::int64_t> structures;
    std::array<double, 3> coefficients{}; // of the sums of squares of energies, forces and virials in the loss
    bool gradient = false, double_precision = false;
};

struct Result {
    std::vector<double> energy_error; // (n) (E - E_ref) / N, eV/atom, without any weight
    std::vector<double> force_sum;    // (n) weighted sum of squares, (eV/A)^2
    std::vector<double> virial_sum;   // (n) weighted sum of squares, (eV/atom)^2
    std::vector<double> plain_force_sum, plain_virial_sum; // (n) the same without weights
    std::vector<double> gradient;     // of sum_c coefficient_c * (weighted sum of squares)_c
    std::vector<double> energy, force, virial; // (n), (atoms, 3), (n, 6) where asked for
};

class DataSet {
public:
    DataSet(Shape shape, std::vector<double> radial_cutoff, std::vector<double> angular_cutoff, ForceWeights weights,
            int threads);

    void add(const Structure& structure);
    Result evaluate(const Request& request, bool keep_predictions);
    // (atoms of the structures, descriptors), multiplied by scale, in the order of the structures' atoms.
    std::vector<double> descriptors(const Request& request);

    // Uses the kernels of one instruction set instead of the best; "" goes back to that.
    void use(std::string instruction_set) { instruction_set_ = std::move(instruction_set); }

    std::int64_t structures() const { return std::int64_t(atom_begin_.size()) - 1; }
    std::int64_t atoms(std::int64_t structure) const { return atom_begin_[structure + 1] - atom_begin_[structure]; }
    int most_radial_neighbours() const { return most_radial_; }
    int most_angular_neighbours() const { return most_angular_; }
    const Shape& shape() const { return shape_; }

private:
    struct Group;
    struct Step;
    struct Pairs {
        std::vector<double> vector[3];
        std::vector<std::int32_t> index;
        void push(const double* r, std::int32_t other);
        void pad(double cutoff, std::int32_t own);
    };
    void add_neighbours(const Structure& structure, std::span<const std::int32_t> order);
    void add_atom(const Surroundings& found, int atom);
    void walk(const Request& request, Result& result, bool keep_predictions, std::vector<double>* descriptor_rows);
    void fill(Step& step, Group& group, std::size_t position) const;
    void weigh(Step& step, Group& group, Result& result, bool keep) const;

    std::string instruction_set_;
    Shape shape_;
    std::vector<double> radial_cutoff_, angular_cutoff_;
    ForceWeights weights_;
    Pool pool_;
    std::vector<std::int64_t> atom_begin_{0};
    std::vector<std::int32_t> type_, place_; // place_: of a sorted atom in its structure as given
    std::vector<std::int64_t> radial_block_{0}, angular_block_{0};
    Pairs radial_, angular_;
    std::vector<std::int32_t> angular_count_;
    std::vector<std::uint8_t> angular_type_;
    std::vector<double> energy_, force_, virial_, energy_weight_, weight_;
    std::vector<char> has_virial_;
    int most_radial_ = 0, most_angular_ = 0;
    Buffer parameters_, scale_, slots_, atom_scratch_, radial_scratch_, angular_scratch_, workers_;
};

} // namespace lizrcl::training
