// Python module _frames: the atom lines of one extended XYZ frame, from bytes to numbers. source_xyz.py says what the
// arguments mean.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <charconv>
#include <cstdint>
#include <cstring>

namespace nb = nanobind;

namespace {

using Bytes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Targets = nb::ndarray<const std::int32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Names = nb::ndarray<std::uint8_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Numbers = nb::ndarray<double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

constexpr int skipped = -1, name_column = -2;
constexpr std::int64_t truncated = -1;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

// One line; false where it does not hold what was declared.
bool parse_line(const char* at, const char* end, const Targets& targets, std::uint8_t* name, std::size_t width,
                double* numbers) {
    for (std::size_t token = 0; token < targets.size(); ++token) {
        while (at < end && is_blank(*at)) ++at;
        const char* stop = at;
        while (stop < end && !is_blank(*stop)) ++stop;
        if (at == stop) return false;
        const int target = targets.data()[token];
        if (target == name_column) {
            if (std::size_t(stop - at) > width) return false;
            std::memset(name, 0, width);
            std::memcpy(name, at, stop - at);
        } else if (target != skipped) {
            const char* from = *at == '+' ? at + 1 : at;
            const auto [last, error] = std::from_chars(from, stop, numbers[target]);
            if (error != std::errc() || last != stop) return false;
        }
        at = stop;
    }
    while (at < end && is_blank(*at)) ++at;
    return at == end;
}

// Returns where the frame ends; -1 where the file ends before; -2 - row where a line is malformed.
std::int64_t parse_rows(const Bytes& bytes, std::int64_t start, const Targets& targets, Names& names,
                        Numbers& numbers) {
    const char* const begin = reinterpret_cast<const char*>(bytes.data());
    const char* const end = begin + bytes.size();
    const char* at = begin + start;
    const std::size_t rows = numbers.shape(0), columns = numbers.shape(1), width = names.shape(1);
    nb::gil_scoped_release release;
    for (std::size_t row = 0; row < rows; ++row) {
        if (at >= end) return truncated;
        const char* stop = static_cast<const char*>(std::memchr(at, '\n', end - at));
        if (stop == nullptr) return truncated;
        if (!parse_line(at, stop, targets, names.data() + row * width, width, numbers.data() + row * columns))
            return -2 - std::int64_t(row);
        at = stop + 1;
    }
    return at - begin;
}

} // namespace

NB_MODULE(_frames, m) {
    m.def("parse_rows", &parse_rows, nb::arg("bytes"), nb::arg("start"), nb::arg("targets"), nb::arg("names").noconvert(),
          nb::arg("numbers").noconvert());
}
