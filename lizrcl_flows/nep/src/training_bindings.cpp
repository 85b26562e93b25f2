// Python module _training: a data set and its loss with gradient. Arrays in, arrays out; see training_data.py.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>

#include <algorithm>

#include "train_evaluator.hpp"

namespace nb = nanobind;
using namespace lizrcl::training;

namespace {

template <class T>
using Array = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
using Numbers = nb::ndarray<nb::numpy, double>;

template <class T>
std::span<const T> view(const Array<T>& array) {
    return {array.data(), array.size()};
}

Numbers give(std::vector<double>&& values, std::initializer_list<std::size_t> shape) {
    auto* owned = new std::vector<double>(std::move(values));
    nb::capsule owner(owned, [](void* p) noexcept { delete static_cast<std::vector<double>*>(p); });
    return Numbers(owned->data(), shape, owner);
}

Shape read_shape(const nb::dict& d) {
    return Shape{nb::cast<int>(d["types"]),         nb::cast<int>(d["radial"]),
                 nb::cast<int>(d["angular"]),       nb::cast<int>(d["radial_basis"]),
                 nb::cast<int>(d["angular_basis"]), nb::cast<int>(d["l_max"]),
                 PyObject_IsTrue(nb::object(d["four_body"]).ptr()) == 1,    PyObject_IsTrue(nb::object(d["five_body"]).ptr()) == 1,
                 nb::cast<int>(d["neurons"])};
}

std::vector<double> copy(const Array<double>& array) { return {array.data(), array.data() + array.size()}; }

void require(bool condition, const char* what) {
    if (!condition) throw nb::value_error(what);
}

void add_structure(DataSet& set, const Array<std::int32_t>& types, const Array<double>& cell,
                   const Array<double>& positions, const nb::dict& targets) {
    Structure s;
    const std::size_t count = types.size();
    const auto forces = nb::cast<Array<double>>(targets["forces"]);
    require(count > 0 && cell.size() == 9 && positions.size() == 3 * count && forces.size() == 3 * count,
            "a structure needs (N,) types, (3, 3) cell, (N, 3) positions and (N, 3) forces");
    s.types.assign(types.data(), types.data() + count);
    for (const int t : s.types) require(t >= 0 && t < set.shape().types, "a type index is out of range");
    std::copy_n(cell.data(), 9, s.cell.begin());
    s.positions = copy(positions);
    s.forces = copy(forces);
    s.energy = nb::cast<double>(targets["energy"]);
    s.energy_weight = nb::cast<double>(targets["energy_weight"]);
    s.weight = nb::cast<double>(targets["weight"]);
    s.has_virial = !targets["virial"].is_none();
    s.virial.fill(0);
    if (s.has_virial) {
        const auto virial = nb::cast<Array<double>>(targets["virial"]);
        require(virial.size() == 6, "a virial has six components");
        std::copy_n(virial.data(), 6, s.virial.begin());
    }
    nb::gil_scoped_release release;
    set.add(s);
}

Request read_request(const DataSet& set, const Array<double>& parameters, const Array<double>& scale,
                     const Array<std::int64_t>& structures, bool double_precision) {
    require(parameters.size() == set.shape().parameters(), "wrong number of parameters");
    require(scale.size() == std::size_t(set.shape().descriptors()), "wrong number of descriptor scales");
    for (const std::int64_t s : view(structures))
        require(s >= 0 && s < set.structures(), "a structure index is out of range");
    Request request{.parameters = view(parameters), .scale = view(scale), .structures = view(structures)};
    request.double_precision = double_precision;
    return request;
}

nb::dict evaluate(DataSet& set, const Array<double>& parameters, const Array<double>& scale,
                  const Array<std::int64_t>& structures, const Array<double>& coefficients, bool gradient,
                  bool double_precision, bool predictions) {
    Request request = read_request(set, parameters, scale, structures, double_precision);
    require(coefficients.size() == 3, "three coefficients are needed: energy, force, virial");
    std::copy_n(coefficients.data(), 3, request.coefficients.begin());
    request.gradient = gradient;
    Result result;
    {
        nb::gil_scoped_release release;
        result = set.evaluate(request, predictions);
    }
    const std::size_t count = structures.size();
    nb::dict out;
    out["energy_error"] = give(std::move(result.energy_error), {count});
    out["force_sum"] = give(std::move(result.force_sum), {count});
    out["virial_sum"] = give(std::move(result.virial_sum), {count});
    out["plain_force_sum"] = give(std::move(result.plain_force_sum), {count});
    out["plain_virial_sum"] = give(std::move(result.plain_virial_sum), {count});
    if (gradient) out["gradient"] = give(std::move(result.gradient), {parameters.size()});
    if (predictions) {
        const std::size_t atoms = result.force.size() / 3;
        out["energy"] = give(std::move(result.energy), {count});
        out["force"] = give(std::move(result.force), {atoms, 3});
        out["virial"] = give(std::move(result.virial), {count, 6});
    }
    return out;
}

Numbers descriptors(DataSet& set, const Array<double>& parameters, const Array<double>& scale,
                    const Array<std::int64_t>& structures) {
    const Request request = read_request(set, parameters, scale, structures, true);
    std::vector<double> rows;
    {
        nb::gil_scoped_release release;
        rows = set.descriptors(request);
    }
    const std::size_t width = std::size_t(set.shape().descriptors()), count = rows.size() / width;
    return give(std::move(rows), {count, width});
}

} // namespace

NB_MODULE(_training, module) {
    module.doc() = "Loss and gradient of NEP4 potentials over a data set.";
    module.def("instruction_set", &best_instruction_set);
    nb::class_<DataSet>(module, "DataSet")
        .def(
            "__init__",
            [](DataSet* self, const nb::dict& shape, const Array<double>& radial, const Array<double>& angular,
               const Array<double>& type_weight, double force_delta, double shear, int threads) {
                const Shape s = read_shape(shape);
                const std::size_t pairs = std::size_t(s.types) * s.types;
                require(radial.size() == pairs && angular.size() == pairs && type_weight.size() == std::size_t(s.types),
                        "cutoffs are (types, types), type weights (types,)");
                new (self) DataSet(s, copy(radial), copy(angular), ForceWeights{copy(type_weight), force_delta, shear},
                                   threads);
            },
            nb::arg("shape"), nb::arg("radial_cutoff"), nb::arg("angular_cutoff"), nb::arg("type_weight"),
            nb::arg("force_delta"), nb::arg("shear"), nb::arg("threads"))
        .def("add", &add_structure, nb::arg("types"), nb::arg("cell"), nb::arg("positions"), nb::arg("targets"))
        .def("evaluate", &evaluate, nb::arg("parameters"), nb::arg("scale"), nb::arg("structures"),
             nb::arg("coefficients"), nb::arg("gradient"), nb::arg("double_precision"), nb::arg("predictions"))
        .def("use", &DataSet::use, nb::arg("instruction_set"))
        .def("descriptors", &descriptors, nb::arg("parameters"), nb::arg("scale"), nb::arg("structures"))
        .def_prop_ro("most_radial_neighbours", &DataSet::most_radial_neighbours)
        .def_prop_ro("most_angular_neighbours", &DataSet::most_angular_neighbours)
        .def("__len__", &DataSet::structures);
}
