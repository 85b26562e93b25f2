// A committee of NEP models with equal headers, evaluated on many frames or again and again on one.
#pragma once
#include <memory>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "neighbours.hpp"

namespace lizrcl {

// Memory that starts at a cache line.
class AlignedMemory {
public:
    void* reserve(std::size_t bytes) {
        if (bytes > size_) {
            memory_.reset(static_cast<char*>(::operator new(bytes, std::align_val_t(64))));
            size_ = bytes;
        }
        return memory_.get();
    }
    double* doubles() const { return reinterpret_cast<double*>(memory_.get()); }

private:
    struct Release {
        void operator()(char* p) const { ::operator delete(p, std::align_val_t(64)); }
    };
    std::unique_ptr<char, Release> memory_;
    std::size_t size_ = 0;
};

struct CommitteeInput {
    Shape shape;
    std::span<const double> parameters;      // (members, parameters) in the order of nep.txt, a network for every type
    std::span<const double> scale;           // (members, descriptors) q_scaler
    std::span<const double> radial_cutoff;   // (types, types) (A)
    std::span<const double> angular_cutoff;  // (types, types) (A)
    std::span<const double> repulsion;       // (types, types, 4) as in Repulsion, or empty
    std::string instruction_set;             // "" for the best of this processor
};

// Where the results of one frame go; null pointers are not wanted.
struct FrameResult {
    double* energy;      // (members)
    double* virial;      // (members, 3, 3)
    double* force;       // (members, atoms, 3)
    double* atom_energy; // (members, atoms)
};

class Committee {
public:
    explicit Committee(const CommitteeInput& input);
    Committee(const Committee&) = delete;
    Committee& operator=(const Committee&) = delete;

    const Shape& shape() const { return model_.shape; }
    double longest_cutoff() const { return longest_cutoff_; }

    // Results do not depend on the number of threads: large frames are always cut into the same runs of atoms.
    void evaluate(std::span<const FrameView> frames, std::span<const FrameResult> results, int threads) const;
    void descriptors(std::span<const FrameView> frames, std::span<double* const> rows, int threads) const;
    void evaluate_neighbours(const NeighbourList& list, const FrameResult& result, int threads,
                             std::vector<AlignedMemory>& workspaces) const;

private:
    void pack(const CommitteeInput& input);
    void pack_type(int type, const double* parameters, int member, const double* scale);
    void run(const Surroundings& around, int most, int from, int to, const Output& out, AlignedMemory& workspace) const;

    Model model_{};
    Kernel kernel_{};
    double longest_cutoff_ = 0;
    AlignedMemory parameters_;
    std::vector<double> radial_cutoff_, angular_cutoff_, bias_, scale_;
    std::vector<Repulsion> repulsion_;
};

// One system that moves: keeps a neighbour list with a skin and builds it anew only when it must.
class Session {
public:
    Session(const Committee& committee, std::vector<std::int32_t> types, Periodicity periodic, double skin, int threads);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    void evaluate(const double* cell, const double* positions, const FrameResult& result);
    int atoms() const { return int(types_.size()); }
    std::int64_t builds() const { return builds_; } // of the neighbour list
    const Committee& committee() const { return committee_; }

private:
    bool list_is_good(const FrameView& frame) const;

    const Committee& committee_;
    std::vector<std::int32_t> types_;
    Periodicity periodic_;
    double skin_;
    int threads_;
    bool has_list_ = false;
    std::int64_t builds_ = 0;
    NeighbourList list_;
    std::vector<double> built_positions_;
    std::array<double, 9> built_cell_{}, built_inverse_{};
    std::vector<AlignedMemory> workspaces_;
};

std::vector<std::string> instruction_sets(); // that this processor can run, the best one first

} // namespace lizrcl
