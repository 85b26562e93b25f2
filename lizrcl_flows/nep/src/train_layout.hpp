// What the training kernels and their driver agree on: shapes, geometry, one batch's work.
//
// Notation (equations of the NEP4 potential as in docs): an atom i has fixed moments of its neighbours of type t,
//   XR[t,k] = sum_j f_k(r_ij)            XA[t,k,lm] = sum_j f_k(r_ij) b_lm(u_ij)
// in which the energy U_i is an ordinary function of the parameters. Forces and virials are a fixed linear operator D on
// G = dU/dX; the gradient of a loss needs only Lambda = D^T dL/dF and per-atom algebra, no graph of the size of the pairs.
#pragma once
#include "kernel_layout.hpp"

namespace lizrcl::training {

// Functions of this header are always inlined: it is compiled for several processors, and the linker must not share them.

// Pairs are stored in blocks of this many lanes, padded with pairs at the cutoff, which contribute nothing.
inline constexpr int lanes = 8;

LIZRCL_INLINE constexpr int padded(int count) { return (count + lanes - 1) / lanes * lanes; }

struct Shape {
    int types;
    int radial, angular;             // number of radial functions n of the two parts
    int radial_basis, angular_basis; // number of Chebyshev functions k of the two parts
    int l_max;
    bool four_body, five_body;
    int neurons;

    LIZRCL_INLINE int lm() const { return l_max * (l_max + 2); }
    LIZRCL_INLINE int invariants() const { return l_max + four_body + five_body; }
    LIZRCL_INLINE int descriptors() const { return radial + angular * invariants(); }
    LIZRCL_INLINE int radial_moments() const { return types * radial_basis; }
    LIZRCL_INLINE int angular_moments() const { return types * angular_basis; }
    LIZRCL_INLINE std::size_t network_parameters() const { return std::size_t(types) * neurons * (descriptors() + 2) + 1; }
    LIZRCL_INLINE std::size_t parameters() const {
        return network_parameters() +
               std::size_t(types) * types * (radial * radial_basis + angular * angular_basis);
    }
};

// Parameters of one centre type, padded for the vector loops; the offsets count numbers, not bytes.
struct ParameterLayout {
    LIZRCL_INLINE explicit ParameterLayout(const Shape& s)
        : descriptors(padded(s.descriptors())), neurons(padded(s.neurons)), radial(padded(s.radial)),
          moments(padded(s.radial_moments())) {
        std::size_t end = 0;
        auto take = [&end](std::size_t count) __attribute__((always_inline)) {
            const std::size_t begin = end;
            end += padded(int(count));
            return begin;
        };
        w0 = take(std::size_t(s.neurons) * descriptors);         // [h][d]
        b0 = take(neurons);
        w1 = take(neurons);
        cr = take(std::size_t(s.radial) * moments);              // [n][t k]
        ca = take(std::size_t(s.angular) * s.angular_moments()); // [n][t k]
        gradient_size = end;                                     // what follows are copies
        w0t = take(std::size_t(s.descriptors()) * neurons);      // [d][h]
        crt = take(std::size_t(s.radial_moments()) * radial);    // [t k][n]
        size = end;
    }
    int descriptors, neurons, radial, moments;
    std::size_t w0, b0, w1, cr, ca, gradient_size, w0t, crt, size;
};

// Neighbours of all atoms of a data set; atoms of one structure are sorted by type.
struct Geometry {
    const std::int64_t* radial_block;  // (atoms * types + 1) first block of the neighbours of one type
    const std::int64_t* angular_block; // (atoms + 1) first block of all angular neighbours, sorted by type
    const std::int32_t* angular_count; // (atoms * types) neighbours of one type
    const double* radial_vector[3];    // r_ij (A), one array for x, y and z
    const double* angular_vector[3];
    const std::int32_t* radial_index;  // j, counted within the structure
    const std::int32_t* angular_index;
    const std::uint8_t* angular_type;
    const std::int32_t* type; // (atoms)
};

// A run of atoms of one structure: the unit of parallel work. Units are cut the same for any number of threads.
struct Unit {
    std::int64_t atom;        // first atom, counted in the data set
    int count;                // number of atoms
    int row;                  // its first row among the atoms of the group
    int structure_row;        // first row of its structure
    int structure;            // place of its structure in the group
    double* force;            // (structure atoms, 3) this unit's share of the forces (eV/A), zeroed here
    int structure_atoms;
    double energy;            // sum over the unit's atoms (eV)
    double virial[6];         // xx yy zz xy yz zx (eV)
    void* gradient;           // the slot that this unit adds to: per type the first part of a ParameterLayout
    double bias_gradient;
};

struct Context {
    Shape shape;
    Geometry geometry;
    const double* radial_cutoff;  // (types, types) (A)
    const double* angular_cutoff; // (types, types) (A)
    const void* parameters;       // one ParameterLayout per type in the kernel's precision
    const void* scale;            // (padded descriptors) q_scaler
    double bias;
    void* atom_scratch;    // kept from the forward to the backward pass, per row
    void* radial_scratch;  // per radial block
    void* angular_scratch; // per angular block
    const std::int64_t* radial_place;  // (rows) first scratch block of a row
    const std::int64_t* angular_place; // (rows)
    const double* force_weight;  // (rows, 3) dL/dF
    const double* virial_weight; // (structures, 6) dL/dV
    const double* energy_weight; // (structures) dL/dE
};

struct ScratchSizes {
    std::size_t atom, radial_block, angular_block, worker; // bytes
};

struct Kernel {
    std::size_t real_size;
    ScratchSizes (*scratch_sizes)(const Shape&);
    void (*forward)(const Context&, Unit&, void* worker);
    void (*backward)(const Context&, Unit&, void* worker);
    void (*descriptors)(const Context&, const Unit&, double* rows); // after forward: (count, descriptors) scaled
};

} // namespace lizrcl::training
