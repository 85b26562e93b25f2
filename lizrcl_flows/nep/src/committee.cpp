#include "committee.hpp"

#include <algorithm>
#include <cmath>

#include "workers.hpp"

namespace lizrcl {

Kernel baseline_kernel();
#if defined(LIZRCL_X86_KERNELS)
Kernel avx2_kernel();
#endif

namespace {

constexpr int atoms_per_run = 128, most_runs = 8; // how large frames are cut, whatever the number of threads

int runs_of(int atoms) { return std::clamp(atoms / atoms_per_run, 1, most_runs); }

Kernel choose_kernel(const std::string& name) {
    const auto known = instruction_sets();
    const std::string wanted = name.empty() ? known.front() : name;
    if (std::ranges::find(known, wanted) == known.end()) throw std::invalid_argument("this processor cannot run " + wanted);
#if defined(LIZRCL_X86_KERNELS)
    if (wanted == "avx2") return avx2_kernel();
#endif
    return baseline_kernel();
}

Packing make_packing(const Shape& s, int lanes) {
    const auto pad = [](int count, int to) { return (count + to - 1) / to * to; };
    Packing p{};
    p.radial_functions = pad(s.members * s.radial, lanes);
    p.angular_functions = pad(s.members * s.angular, lanes);
    p.moments = pad(s.types * s.radial_basis, lanes);
    p.neurons = pad(s.neurons, lanes);
    p.rows = pad(s.descriptors(), 8);
    p.angular_pair = std::size_t(s.angular_basis) * p.angular_functions;
    p.network_size = std::size_t(p.rows) * p.neurons + 2 * std::size_t(p.neurons);
    std::size_t end = 0;
    const auto take = [&end](std::size_t count) {
        const std::size_t begin = end;
        end += (count + 7) / 8 * 8;
        return begin;
    };
    p.radial_forward = take(std::size_t(s.types) * s.radial_basis * p.radial_functions);
    p.radial_backward = take(std::size_t(s.members) * s.radial * p.moments);
    p.angular = take(s.types * p.angular_pair);
    p.network = take(s.members * p.network_size);
    p.size = end;
    return p;
}

void fill_virial(const double* six, double* nine) {
    constexpr int place[9] = {0, 3, 5, 3, 1, 4, 5, 4, 2};
    for (int i = 0; i < 9; ++i) nine[i] = six[place[i]];
}

} // namespace

std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
#if defined(LIZRCL_X86_KERNELS)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2"))
        names.emplace_back("avx2");
#endif
    names.emplace_back("baseline");
    return names;
}

Committee::Committee(const CommitteeInput& input)
    : kernel_(choose_kernel(input.instruction_set)),
      radial_cutoff_(input.radial_cutoff.begin(), input.radial_cutoff.end()),
      angular_cutoff_(input.angular_cutoff.begin(), input.angular_cutoff.end()) {
    const Shape& s = input.shape;
    model_.shape = s;
    model_.packing = make_packing(s, kernel_.lanes);
    for (std::size_t i = 0; i + 4 <= input.repulsion.size(); i += 4) {
        const double* r = &input.repulsion[i];
        repulsion_.push_back({r[0], r[1], r[2], r[3]});
    }
    for (double rc : radial_cutoff_) longest_cutoff_ = std::max(longest_cutoff_, rc);
    scale_.assign(input.scale.begin(), input.scale.begin() + s.descriptors());
    pack(input);
    model_.radial_cutoff = radial_cutoff_.data();
    model_.angular_cutoff = angular_cutoff_.data();
    model_.repulsion = repulsion_.empty() ? nullptr : repulsion_.data();
    model_.parameters = parameters_.doubles();
    model_.bias = bias_.data();
    model_.scale = scale_.data();
}

void Committee::pack(const CommitteeInput& input) {
    const Shape& s = model_.shape;
    const std::size_t size = model_.packing.size * s.types;
    auto* table = static_cast<double*>(parameters_.reserve(size * sizeof(double)));
    std::fill(table, table + size, 0.0);
    const std::size_t network = std::size_t(s.types) * s.neurons * (s.descriptors() + 2);
    const std::size_t per_member = input.parameters.size() / s.members;
    for (int m = 0; m < s.members; ++m) {
        const double* parameters = input.parameters.data() + m * per_member;
        bias_.push_back(parameters[network]);
        for (int t = 0; t < s.types; ++t) pack_type(t, parameters, m, &input.scale[std::size_t(m) * s.descriptors()]);
    }
}

void Committee::pack_type(int type, const double* parameters, int member, const double* scale) {
    const Shape& s = model_.shape;
    const Packing& p = model_.packing;
    const int count = s.descriptors();
    double* table = parameters_.doubles() + p.size * type;
    const std::size_t one_network = std::size_t(s.neurons) * (count + 2);
    const double* from = parameters + one_network * type;
    double* w0 = table + p.network + p.network_size * member;
    double* b0 = w0 + std::size_t(p.rows) * p.neurons;
    for (int h = 0; h < s.neurons; ++h) {
        for (int d = 0; d < count; ++d) w0[std::size_t(d) * p.neurons + h] = from[std::size_t(h) * count + d] * scale[d];
        b0[h] = from[std::size_t(s.neurons) * count + h];
        b0[p.neurons + h] = from[std::size_t(s.neurons) * (count + 1) + h];
    }
    const double* c = parameters + one_network * s.types + 1;
    for (int n = 0; n < s.radial; ++n)
        for (int k = 0; k < s.radial_basis; ++k)
            for (int other = 0; other < s.types; ++other) {
                const double value = c[(std::size_t(n * s.radial_basis + k) * s.types + type) * s.types + other];
                const int moment = other * s.radial_basis + k, function = member * s.radial + n;
                table[p.radial_forward + std::size_t(moment) * p.radial_functions + function] = value;
                table[p.radial_backward + std::size_t(function) * p.moments + moment] = value;
            }
    c += std::size_t(s.radial) * s.radial_basis * s.types * s.types;
    for (int n = 0; n < s.angular; ++n)
        for (int k = 0; k < s.angular_basis; ++k)
            for (int other = 0; other < s.types; ++other)
                table[p.angular + other * p.angular_pair + std::size_t(k) * p.angular_functions + member * s.angular + n] =
                    c[(std::size_t(n * s.angular_basis + k) * s.types + type) * s.types + other];
}

void Committee::run(const Surroundings& around, int most, int from, int to, const Output& out,
                    AlignedMemory& workspace) const {
    kernel_.evaluate(model_, around, from, to, out, workspace.reserve(kernel_.workspace(model_, most)));
}

void Committee::evaluate_neighbours(const NeighbourList& list, const FrameResult& result, int threads,
                                    std::vector<AlignedMemory>& workspaces) const {
    const Surroundings around = list.view();
    const int members = model_.shape.members, atoms = around.atoms, runs = runs_of(atoms), most = list.most_neighbours();
    const std::size_t force_size = std::size_t(members) * atoms * 3;
    std::vector<double> virial(std::size_t(runs) * members * 6), energy(std::size_t(runs) * members);
    std::fill(result.force, result.force + force_size, 0.0);
    if (workspaces.size() < std::size_t(std::max(threads, 1))) workspaces.resize(std::max(threads, 1));
    if (runs == 1) {
        const Output out{energy.data(), virial.data(), result.force, result.atom_energy, nullptr};
        run(around, most, 0, atoms, out, workspaces[0]);
    } else {
        const auto force = std::make_unique_for_overwrite<double[]>(force_size * runs);
        share(runs, threads, [&](int piece, int worker) {
            std::fill_n(&force[piece * force_size], force_size, 0.0);
            const int from = int(std::int64_t(atoms) * piece / runs), to = int(std::int64_t(atoms) * (piece + 1) / runs);
            const Output out{&energy[std::size_t(piece) * members], &virial[std::size_t(piece) * members * 6],
                             &force[piece * force_size], result.atom_energy, nullptr};
            run(around, most, from, to, out, workspaces[worker]);
        });
        for (int piece = 0; piece < runs; ++piece)
            for (std::size_t i = 0; i < force_size; ++i) result.force[i] += force[piece * force_size + i];
        for (int piece = 1; piece < runs; ++piece) {
            for (int m = 0; m < members; ++m) energy[m] += energy[std::size_t(piece) * members + m];
            for (int v = 0; v < members * 6; ++v) virial[v] += virial[std::size_t(piece) * members * 6 + v];
        }
    }
    std::copy(energy.begin(), energy.begin() + members, result.energy);
    for (int m = 0; m < members; ++m) fill_virial(&virial[6 * std::size_t(m)], result.virial + 9 * std::size_t(m));
}

void Committee::evaluate(std::span<const FrameView> frames, std::span<const FrameResult> results, int threads) const {
    const int count = int(frames.size());
    const int outer = count >= threads ? threads : 1, inner = count >= threads ? 1 : threads;
    struct alignas(128) Worker { // cache lines of its own: lists grow element by element while a neighbour does the same
        NeighbourList list;
        std::vector<AlignedMemory> workspaces;
    };
    std::vector<Worker> workers(std::max(outer, 1));
    share(count, outer, [&](int f, int worker) {
        Worker& own = workers[worker];
        own.list.build(frames[f], model_.shape.types, longest_cutoff_, inner);
        evaluate_neighbours(own.list, results[f], inner, own.workspaces);
    });
}

void Committee::descriptors(std::span<const FrameView> frames, std::span<double* const> rows, int threads) const {
    std::vector<AlignedMemory> workspaces(std::max(threads, 1));
    share(int(frames.size()), threads, [&](int f, int worker) {
        NeighbourList list;
        list.build(frames[f], model_.shape.types, longest_cutoff_, 1);
        run(list.view(), list.most_neighbours(), 0, frames[f].atoms, {nullptr, nullptr, nullptr, nullptr, rows[f]},
            workspaces[worker]);
    });
}

Session::Session(const Committee& committee, std::vector<std::int32_t> types, Periodicity periodic, double skin, int threads)
    : committee_(committee), types_(std::move(types)), periodic_(periodic), skin_(skin), threads_(threads) {}

// A pair outside the list was farther than cutoff + skin. Since then the cell was strained by D, which leaves at least
// (1 - |D - 1|) of a distance, and both atoms moved beside that.
bool Session::list_is_good(const FrameView& frame) const {
    if (!has_list_) return false;
    double strain2 = 0;
    std::array<double, 9> d{1, 0, 0, 0, 1, 0, 0, 0, 1};
    if (!std::equal(built_cell_.begin(), built_cell_.end(), frame.cell)) {
        const auto cell = complete_cell(frame.cell, periodic_);
        for (int a = 0; a < 3; ++a)
            for (int b = 0; b < 3; ++b) {
                double sum = 0;
                for (int c = 0; c < 3; ++c) sum += built_inverse_[3 * a + c] * cell[3 * c + b];
                d[3 * a + b] = sum;
                strain2 += (sum - (a == b)) * (sum - (a == b));
            }
    }
    const double cutoff = committee_.longest_cutoff();
    const double allowed = ((cutoff + skin_) * (1 - std::sqrt(strain2)) - cutoff) / 2;
    if (!(allowed >= 0)) return false;
    for (std::size_t i = 0; i < types_.size(); ++i) {
        const double *old = &built_positions_[3 * i], *now = frame.positions + 3 * i;
        double sum = 0;
        for (int x = 0; x < 3; ++x) {
            const double step = now[x] - (old[0] * d[x] + old[1] * d[3 + x] + old[2] * d[6 + x]);
            sum += step * step;
        }
        if (!(sum <= allowed * allowed)) return false; // also where it is not a number
    }
    return true;
}

void Session::evaluate(const double* cell, const double* positions, const FrameResult& result) {
    const FrameView frame{atoms(), types_.data(), cell, positions, periodic_};
    if (list_is_good(frame)) {
        list_.follow(frame);
    } else {
        has_list_ = false; // a failure below leaves no list that looks good
        list_.build(frame, committee_.shape().types, committee_.longest_cutoff() + skin_, threads_);
        built_positions_.assign(positions, positions + 3 * types_.size());
        std::copy(cell, cell + 9, built_cell_.begin());
        built_inverse_ = invert(complete_cell(cell, periodic_));
        has_list_ = true;
        ++builds_;
    }
    committee_.evaluate_neighbours(list_, result, threads_, workspaces_);
}

} // namespace lizrcl
