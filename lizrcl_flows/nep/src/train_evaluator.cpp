#include "train_evaluator.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "train_parameters.hpp"

namespace lizrcl::training {

namespace {

// Gradients are summed in this many places, in an order that does not depend on the number of threads.
constexpr int slots = 16;
constexpr int unit_atoms = 32;   // atoms of a unit of work, more where a structure would need more than `slots` units
constexpr int group_atoms = 256; // structures whose intermediate values are held together, per thread

int units_of(std::int64_t atoms) { return int(std::clamp<std::int64_t>((atoms + unit_atoms / 2) / unit_atoms, 1, slots)); }

} // namespace

// Structures that go through the forward and backward pass together.
struct DataSet::Group {
    std::vector<Unit> units;
    std::vector<std::int64_t> structure;  // (n) in the data set
    std::vector<std::size_t> position;    // (n) in the request
    std::vector<int> row;                 // (n + 1) first row of atoms
    std::vector<std::int64_t> radial_place, angular_place; // (rows)
    std::vector<double> unit_force;       // all units' shares
    std::vector<double> force_weight, virial_weight, energy_weight;
    std::int64_t radial_blocks, angular_blocks;
};

struct DataSet::Step {
    Step(const Request& asked, Kernel chosen) : request(asked), kernel(chosen) {}
    const Request& request;
    Kernel kernel;
    Context context{};
    int unit_number = 0;
    std::vector<bool> slot_used = std::vector<bool>(slots, false);
    std::vector<double> slot_bias = std::vector<double>(slots, 0.0);
    std::size_t slot_bytes = 0;
    std::vector<std::size_t> rows; // first atom of each structure of the request among all its atoms
};

DataSet::DataSet(Shape shape, std::vector<double> radial_cutoff, std::vector<double> angular_cutoff,
                 ForceWeights weights, int threads)
    : shape_(shape), radial_cutoff_(std::move(radial_cutoff)), angular_cutoff_(std::move(angular_cutoff)),
      weights_(std::move(weights)), pool_(std::max(threads, 1)) {}

void DataSet::add(const Structure& structure) {
    const std::size_t count = structure.types.size();
    std::vector<std::int32_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, {}, [&](std::int32_t i) { return structure.types[i]; });
    for (const std::int32_t i : order) {
        type_.push_back(structure.types[i]);
        place_.push_back(i);
        for (int c = 0; c < 3; ++c) force_.push_back(structure.forces[3 * i + c]);
    }
    add_neighbours(structure, order);
    atom_begin_.push_back(std::int64_t(type_.size()));
    energy_.push_back(structure.energy);
    virial_.insert(virial_.end(), structure.virial.begin(), structure.virial.end());
    has_virial_.push_back(structure.has_virial);
    energy_weight_.push_back(structure.energy_weight * structure.weight * structure.weight);
    weight_.push_back(structure.weight);
}

// Chooses the structures from `position` on that fit one group and lays out their work.
void DataSet::fill(Step& step, Group& group, std::size_t position) const {
    group.units.clear();
    group.structure.clear();
    group.position.clear();
    group.row.assign(1, 0);
    group.radial_place.clear();
    group.angular_place.clear();
    group.radial_blocks = group.angular_blocks = 0;
    std::size_t shares = 0;
    const auto& wanted = step.request.structures;
    for (; position < wanted.size(); ++position) {
        const std::int64_t s = wanted[position], count = atoms(s);
        const int units = units_of(count), first_row = group.row.back(), place = int(group.structure.size());
        const bool full = group.units.size() + units > slots || first_row + count > group_atoms * pool_.size();
        if (place > 0 && full) break;
        for (int u = 0; u < units; ++u) {
            const int begin = int(count * u / units), end = int(count * (u + 1) / units);
            Unit unit{};
            unit.atom = atom_begin_[s] + begin;
            unit.count = end - begin;
            unit.row = first_row + begin;
            unit.structure_row = first_row;
            unit.structure = place;
            unit.structure_atoms = int(count);
            group.units.push_back(unit);
            shares += 3 * count;
        }
        for (std::int64_t atom = atom_begin_[s]; atom < atom_begin_[s + 1]; ++atom) {
            group.radial_place.push_back(group.radial_blocks);
            group.angular_place.push_back(group.angular_blocks);
            group.radial_blocks += radial_block_[(atom + 1) * shape_.types] - radial_block_[atom * shape_.types];
            group.angular_blocks += angular_block_[atom + 1] - angular_block_[atom];
        }
        group.structure.push_back(s);
        group.position.push_back(position);
        group.row.push_back(first_row + int(count));
    }
    group.unit_force.resize(shares);
    double* share = group.unit_force.data();
    for (Unit& unit : group.units) {
        const int slot = step.unit_number++ % slots;
        unit.force = share;
        share += 3 * unit.structure_atoms;
        unit.gradient = static_cast<char*>(slots_.memory()) + slot * step.slot_bytes;
        if (step.request.gradient && !step.slot_used[slot]) {
            std::memset(unit.gradient, 0, step.slot_bytes);
            step.slot_used[slot] = true;
        }
    }
}

// Sums the units, compares with the targets and sets dL/dE, dL/dF and dL/dV.
void DataSet::weigh(Step& step, Group& group, Result& result, bool keep) const {
    const auto& [ce, cf, cv] = step.request.coefficients;
    const std::size_t count = group.structure.size();
    group.energy_weight.assign(count, 0);
    group.virial_weight.assign(6 * count, 0);
    group.force_weight.assign(3 * group.row.back(), 0);
    std::vector<double> energy(count, 0), virial(6 * count, 0);
    std::vector<double>& force = group.force_weight; // first the forces, then their weights
    for (const Unit& unit : group.units) {
        energy[unit.structure] += unit.energy;
        for (int c = 0; c < 6; ++c) virial[6 * unit.structure + c] += unit.virial[c];
        for (int i = 0; i < 3 * unit.structure_atoms; ++i) force[3 * unit.structure_row + i] += unit.force[i];
    }
    for (std::size_t n = 0; n < count; ++n) {
        const std::int64_t s = group.structure[n], first = atom_begin_[s];
        const std::size_t out = group.position[n];
        const double per_atom = 1.0 / double(atoms(s)), weight = weight_[s] * weight_[s];
        if (keep) {
            result.energy[out] = energy[n];
            std::copy_n(&virial[6 * n], 6, &result.virial[6 * out]);
            double* rows = &result.force[3 * step.rows[out]];
            for (std::int64_t a = 0; a < atoms(s); ++a)
                std::copy_n(&force[3 * (group.row[n] + a)], 3, rows + 3 * place_[first + a]);
        }
        const double error = (energy[n] - energy_[s]) * per_atom;
        result.energy_error[out] = error;
        group.energy_weight[n] = 2 * ce * energy_weight_[s] * error * per_atom;
        double total = 0, plain = 0;
        for (std::int64_t a = 0; a < atoms(s); ++a) {
            double* f = &force[3 * (group.row[n] + a)];
            const double* target = &force_[3 * (first + a)];
            const double by_type = weights_.by_type[type_[first + a]];
            double factor = weight * by_type * by_type, square = 0;
            if (weights_.delta > 0) factor *= weights_.delta / (weights_.delta + std::hypot(target[0], target[1], target[2]));
            for (int c = 0; c < 3; ++c) {
                const double difference = f[c] - target[c];
                square += difference * difference;
                f[c] = 2 * cf * factor * difference;
            }
            total += factor * square;
            plain += square;
        }
        result.force_sum[out] = total;
        result.plain_force_sum[out] = plain;
        for (int c = 0; c < 6 && has_virial_[s]; ++c) {
            const double shear = c < 3 ? 1.0 : weights_.shear * weights_.shear;
            const double difference = (virial[6 * n + c] - virial_[6 * s + c]) * per_atom;
            result.virial_sum[out] += weight * shear * difference * difference;
            result.plain_virial_sum[out] += difference * difference;
            group.virial_weight[6 * n + c] = 2 * cv * weight * shear * difference * per_atom;
        }
    }
}

void DataSet::walk(const Request& request, Result& result, bool keep, std::vector<double>* rows) {
    Step step{request, choose_kernel(request.double_precision, shape_.l_max, instruction_set_)};
    step.rows.assign(1, 0);
    for (const std::int64_t s : request.structures) step.rows.push_back(step.rows.back() + std::size_t(atoms(s)));
    const ParameterLayout layout(shape_);
    const ScratchSizes sizes = step.kernel.scratch_sizes(shape_);
    const std::size_t real = step.kernel.real_size;
    step.slot_bytes = layout.gradient_size * shape_.types * real;
    slots_.reserve(step.slot_bytes * slots);
    workers_.reserve(sizes.worker * pool_.size());
    Context& context = step.context;
    context.shape = shape_;
    context.geometry = Geometry{
        radial_block_.data(), angular_block_.data(), angular_count_.data(),
        {radial_.vector[0].data(), radial_.vector[1].data(), radial_.vector[2].data()},
        {angular_.vector[0].data(), angular_.vector[1].data(), angular_.vector[2].data()},
        radial_.index.data(), angular_.index.data(), angular_type_.data(), type_.data()};
    context.radial_cutoff = radial_cutoff_.data();
    context.angular_cutoff = angular_cutoff_.data();
    context.parameters = parameters_.reserve(layout.size * shape_.types * real);
    context.scale = scale_.reserve(layout.descriptors * real);
    const PaddedParameters padded_parameters(shape_, request.double_precision);
    padded_parameters.pack(request.parameters, request.scale, parameters_.memory(), scale_.memory());
    context.bias = request.parameters[shape_.network_parameters() - 1];

    Group group;
    for (std::size_t position = 0; position < request.structures.size(); position = group.position.back() + 1) {
        fill(step, group, position);
        context.atom_scratch = atom_scratch_.reserve(sizes.atom * group.row.back());
        context.radial_scratch = radial_scratch_.reserve(sizes.radial_block * group.radial_blocks);
        context.angular_scratch = angular_scratch_.reserve(sizes.angular_block * group.angular_blocks);
        context.radial_place = group.radial_place.data();
        context.angular_place = group.angular_place.data();
        char* workers = static_cast<char*>(workers_.memory());
        const auto forward = [&](int unit, int worker) {
            step.kernel.forward(context, group.units[unit], workers + worker * sizes.worker);
        };
        const auto backward = [&](int unit, int worker) {
            step.kernel.backward(context, group.units[unit], workers + worker * sizes.worker);
        };
        const int first_unit = step.unit_number - int(group.units.size());
        pool_.run(int(group.units.size()), forward);
        if (rows != nullptr) {
            for (const Unit& unit : group.units) {
                const std::size_t end = rows->size();
                rows->resize(end + std::size_t(unit.count) * shape_.descriptors());
                step.kernel.descriptors(context, unit, rows->data() + end);
            }
            continue;
        }
        weigh(step, group, result, keep);
        if (!request.gradient) continue;
        context.force_weight = group.force_weight.data();
        context.virial_weight = group.virial_weight.data();
        context.energy_weight = group.energy_weight.data();
        pool_.run(int(group.units.size()), backward);
        for (std::size_t u = 0; u < group.units.size(); ++u)
            step.slot_bias[(first_unit + u) % slots] += group.units[u].bias_gradient;
    }
    if (!request.gradient) return;
    result.gradient.assign(shape_.parameters(), 0.0);
    for (int slot = 0; slot < slots; ++slot) result.gradient[shape_.network_parameters() - 1] += step.slot_bias[slot];
    std::vector<double> table(layout.gradient_size * shape_.types, 0.0);
    pool_.run(slots, [&](int part, int) {
        const std::size_t begin = table.size() * part / slots, end = table.size() * (part + 1) / slots;
        for (int slot = 0; slot < slots; ++slot) {
            const char* gradient = static_cast<const char*>(slots_.memory()) + slot * step.slot_bytes;
            if (step.slot_used[slot]) padded_parameters.add(gradient, begin, end, table.data());
        }
    });
    padded_parameters.unpack(table, result.gradient);
}

Result DataSet::evaluate(const Request& request, bool keep_predictions) {
    const std::size_t count = request.structures.size();
    Result result;
    for (auto* values : {&result.energy_error, &result.force_sum, &result.virial_sum, &result.plain_force_sum,
                         &result.plain_virial_sum})
        values->assign(count, 0);
    if (keep_predictions) {
        std::size_t total = 0;
        for (const std::int64_t s : request.structures) total += std::size_t(atoms(s));
        result.energy.assign(count, 0);
        result.force.assign(3 * total, 0);
        result.virial.assign(6 * count, 0);
    }
    walk(request, result, keep_predictions, nullptr);
    return result;
}

std::vector<double> DataSet::descriptors(const Request& request) {
    Result none;
    std::vector<double> rows;
    walk(request, none, false, &rows);
    return rows;
}

} // namespace lizrcl::training
