// Python module _kernel: a committee of equal headers and a session for one system that moves. Arrays in, arrays out;
// committee.py and evaluator.py say what they mean.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "committee.hpp"

namespace nb = nanobind;
using namespace lizrcl;

namespace {

using Doubles = nb::ndarray<const double, nb::c_contig, nb::device::cpu>;
using Integers = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Offsets = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Flags = nb::ndarray<const bool, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Numbers = nb::ndarray<nb::numpy, double>;

Numbers allocate(std::initializer_list<std::size_t> shape) {
    std::size_t count = 1;
    for (std::size_t n : shape) count *= n;
    auto* data = new double[count];
    return Numbers(data, shape, nb::capsule(data, [](void* p) noexcept { delete[] static_cast<double*>(p); }));
}

std::span<const double> view(const Doubles& a) { return {a.data(), a.size()}; }

void require(bool ok, const char* what) {
    if (!ok) throw std::invalid_argument(what);
}

Shape read_shape(const nb::dict& d) {
    const auto number = [&d](const char* key) { return nb::cast<int>(d[key]); };
    return {number("members"), number("types"), number("radial"), number("angular"), number("radial_basis"),
            number("angular_basis"), number("l_max"), number("four_body") != 0, number("five_body") != 0, number("neurons")};
}

void create(Committee* self, const nb::dict& shape, const Doubles& parameters, const Doubles& scale,
            const Doubles& radial_cutoff, const Doubles& angular_cutoff, const Doubles& repulsion,
            const std::string& instruction_set) {
    const Shape s = read_shape(shape);
    const std::size_t pairs = std::size_t(s.types) * s.types;
    const std::size_t count = std::size_t(s.types) * s.neurons * (s.descriptors() + 2) + 1 +
                              pairs * (s.radial * s.radial_basis + s.angular * s.angular_basis);
    require(s.members > 0 && s.types > 0 && s.neurons > 0 && s.radial > 0 && s.angular > 0, "every size should be positive");
    require(s.l_max >= 1 && s.l_max <= 8 && s.radial_basis <= 32 && s.angular_basis <= 32, "l_max or a basis is too large");
    require(!s.four_body || s.l_max >= 2, "the four-body invariant needs l_max of 2 or more");
    require(parameters.size() == count * s.members, "wrong number of parameters");
    require(scale.size() == std::size_t(s.members) * s.descriptors(), "wrong number of scales");
    require(radial_cutoff.size() == pairs && angular_cutoff.size() == pairs, "wrong number of cutoffs");
    require(repulsion.size() == 0 || repulsion.size() == 4 * pairs, "wrong number of repulsion values");
    new (self) Committee({s, view(parameters), view(scale), view(radial_cutoff), view(angular_cutoff), view(repulsion),
                          instruction_set});
}

// Frames laid end to end.
struct Frames {
    const Integers& types;
    const Doubles &cells, &positions;
    const Flags& periodic;
    const Offsets& offsets;

    std::vector<FrameView> views(int known_types) const {
        const std::size_t count = offsets.size() - 1, atoms = types.size();
        require(offsets.size() > 0 && cells.size() == 9 * count && periodic.size() == 3 * count &&
                    positions.size() == 3 * atoms, "frames do not fit");
        require(std::size_t(offsets.data()[count]) == atoms && offsets.data()[0] == 0, "offsets do not fit");
        for (std::size_t i = 0; i < atoms; ++i)
            require(types.data()[i] >= 0 && types.data()[i] < known_types, "a type is out of range");
        std::vector<FrameView> result;
        for (std::size_t f = 0; f < count; ++f) {
            const std::int64_t from = offsets.data()[f], to = offsets.data()[f + 1];
            require(to >= from, "offsets should not fall");
            const bool* p = periodic.data() + 3 * f;
            result.push_back({int(to - from), types.data() + from, cells.data() + 9 * f, positions.data() + 3 * from,
                              {{p[0], p[1], p[2]}}});
        }
        return result;
    }
};

nb::tuple evaluate(const Committee& self, const Integers& types, const Doubles& cells, const Doubles& positions,
                   const Flags& periodic, const Offsets& offsets, int threads) {
    const auto frames = Frames{types, cells, positions, periodic, offsets}.views(self.shape().types);
    const std::size_t count = frames.size(), members = self.shape().members, atoms = types.size();
    Numbers energy = allocate({count, members}), virial = allocate({count, members, 3, 3});
    Numbers force = allocate({members * atoms * 3}), atom_energy = allocate({members * atoms});
    std::vector<FrameResult> results;
    for (std::size_t f = 0; f < count; ++f) {
        const std::size_t from = offsets.data()[f] * members;
        results.push_back({energy.data() + f * members, virial.data() + f * members * 9, force.data() + from * 3,
                           atom_energy.data() + from});
    }
    {
        nb::gil_scoped_release release;
        self.evaluate(frames, results, threads);
    }
    return nb::make_tuple(energy, force, virial, atom_energy);
}

Numbers descriptors(const Committee& self, const Integers& types, const Doubles& cells, const Doubles& positions,
                    const Flags& periodic, const Offsets& offsets, int threads) {
    const auto frames = Frames{types, cells, positions, periodic, offsets}.views(self.shape().types);
    const std::size_t width = self.shape().descriptors();
    Numbers rows = allocate({types.size(), width});
    std::vector<double*> places;
    for (std::size_t f = 0; f < frames.size(); ++f) places.push_back(rows.data() + offsets.data()[f] * width);
    {
        nb::gil_scoped_release release;
        self.descriptors(frames, places, threads);
    }
    return rows;
}

void create_session(Session* self, const Committee& committee, const Integers& types, const std::array<bool, 3>& periodic,
                    double skin, int threads) {
    for (std::size_t i = 0; i < types.size(); ++i)
        require(types.data()[i] >= 0 && types.data()[i] < committee.shape().types, "a type is out of range");
    require(skin >= 0 && threads >= 1, "skin should not be negative and threads at least 1");
    new (self) Session(committee, {types.data(), types.data() + types.size()}, {periodic}, skin, threads);
}

nb::tuple evaluate_session(Session& self, const Doubles& cell, const Doubles& positions) {
    const std::size_t members = self.committee().shape().members, atoms = self.atoms();
    require(cell.size() == 9 && positions.size() == 3 * atoms, "cell or positions have the wrong shape");
    Numbers energy = allocate({members}), virial = allocate({members, 3, 3});
    Numbers force = allocate({members, atoms, 3}), atom_energy = allocate({members, atoms});
    {
        nb::gil_scoped_release release;
        self.evaluate(cell.data(), positions.data(), {energy.data(), virial.data(), force.data(), atom_energy.data()});
    }
    return nb::make_tuple(energy, force, virial, atom_energy);
}

} // namespace

NB_MODULE(_kernel, module) {
    nb::exception<GeometryError>(module, "GeometryError", PyExc_ValueError);
    module.def("instruction_sets", &instruction_sets);
    nb::class_<Committee>(module, "Committee")
        .def("__init__", &create)
        .def("evaluate", &evaluate)
        .def("descriptors", &descriptors);
    nb::class_<Session>(module, "Session")
        .def("__init__", &create_session, nb::keep_alive<1, 2>())
        .def("evaluate", &evaluate_session)
        .def_prop_ro("rebuilds", &Session::builds);
}
