// What the kernels and their driver agree on: shapes, packed parameters, one frame's geometry and results.
//
// A committee whose members have equal headers is evaluated at once. "Functions" are the pairs (member, n), the member
// slow, padded to whole vectors: the innermost axis of everything that is summed over neighbours.
//
// The kernels are compiled for several processors, so nothing here may leave behind a function that the linker could
// share between them: functions are always inlined, the rest is plain data.
#pragma once
#include <cstddef>
#include <cstdint>

#define LIZRCL_INLINE inline __attribute__((always_inline))

namespace lizrcl {

struct Shape {
    int members, types;
    int radial, angular;             // radial functions n of the two parts, per member
    int radial_basis, angular_basis; // Chebyshev functions k of the two parts
    int l_max;
    bool four_body, five_body;
    int neurons;

    LIZRCL_INLINE int components() const { return l_max * (l_max + 2); }
    LIZRCL_INLINE int invariants() const { return l_max + int(four_body) + int(five_body); }
    LIZRCL_INLINE int descriptors() const { return radial + angular * invariants(); }
};

// Where the parameters of one centre type lie, counted in doubles from their start; sizes are padded to whole vectors.
struct Packing {
    int radial_functions, angular_functions, moments, neurons, rows;
    std::size_t radial_forward;  // [t k][function]
    std::size_t radial_backward; // [function][t k]
    std::size_t angular;         // [t][k][function]
    std::size_t angular_pair;    // doubles of one t
    std::size_t network;         // per member: W[d][h] times the scale of d, then b0, then w1
    std::size_t network_size;    // doubles of one member
    std::size_t size;
};

// Screened nuclear repulsion of a pair of types: prefactor K (eV A), inverse screening length (1/A), switching range (A).
struct Repulsion {
    double strength, inverse_length, inner, outer;
};

struct Model {
    Shape shape;
    Packing packing;
    const double* radial_cutoff;  // (types, types) (A)
    const double* angular_cutoff; // (types, types) (A)
    const Repulsion* repulsion;   // (types, types), or null
    const double* parameters;     // one packing per type, aligned to 64 bytes
    const double* bias;           // (members) (eV)
    const double* scale;          // (descriptors) q_scaler of the first member
};

struct Neighbour {
    std::int32_t index;
    std::int32_t image; // row of the table of image shifts
};

// Atoms and their neighbours. Those of atom i and type t are begin[i * types + t] .. begin[i * types + t + 1].
struct Surroundings {
    int atoms;
    const std::int32_t* types;
    const double* positions;   // (atoms, 3), wrapped (A)
    const double* image_shift; // (images, 3) (A)
    const Neighbour* neighbours;
    const std::int64_t* begin; // (atoms * types + 1)
};

// Results of a run of atoms, added to what is there except where said.
struct Output {
    double* energy;      // (members) eV
    double* virial;      // (members, 6) xx yy zz xy yz zx (eV)
    double* force;       // (members, atoms, 3) eV/A
    double* atom_energy; // (members, atoms) eV, set; or null
    double* descriptor;  // (atoms, descriptors) scaled, of the first member, set; or null. If given, nothing else is
};

struct Kernel {
    int lanes;
    std::size_t (*workspace)(const Model&, int most_neighbours); // bytes
    void (*evaluate)(const Model&, const Surroundings&, int from, int to, const Output&, void* workspace);
};

} // namespace lizrcl
