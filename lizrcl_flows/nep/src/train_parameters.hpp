// Parameters in the order of nep.txt <-> the padded tables that the kernels read and add to.
#pragma once
#include "train_layout.hpp"

#include <span>
#include <vector>

namespace lizrcl::training {

class PaddedParameters {
public:
    PaddedParameters(const Shape& shape, bool double_precision) : shape_(shape), double_(double_precision) {}

    void pack(std::span<const double> values, std::span<const double> scale, void* table, void* scale_table) const {
        double_ ? pack_as(values, scale, static_cast<double*>(table), static_cast<double*>(scale_table))
                : pack_as(values, scale, static_cast<float*>(table), static_cast<float*>(scale_table));
    }
    // Adds numbers begin..end of a gradient table of the kernels' precision to one in double precision.
    void add(const void* table, std::size_t begin, std::size_t end, double* total) const {
        if (double_) add_as(static_cast<const double*>(table), begin, end, total);
        else add_as(static_cast<const float*>(table), begin, end, total);
    }
    // Adds a summed table to a gradient in the order of nep.txt; the shared bias is not in it.
    void unpack(std::span<const double> table, std::span<double> values) const {
        const ParameterLayout layout(shape_);
        each([&](std::size_t to, int type, std::size_t place, std::ptrdiff_t) {
            values[to] += table[layout.gradient_size * type + place];
        });
    }

private:
    // Calls visit(place in nep.txt, type, place in the table, second place or -1 where there is a transposed copy).
    void each(const auto& visit) const {
        const ParameterLayout layout(shape_);
        const int types = shape_.types, count = shape_.descriptors();
        std::size_t next = 0;
        for (int t = 0; t < types; ++t) {
            for (int h = 0; h < shape_.neurons; ++h)
                for (int d = 0; d < count; ++d)
                    visit(next++, t, layout.w0 + std::size_t(h) * layout.descriptors + d,
                          std::ptrdiff_t(layout.w0t + std::size_t(d) * layout.neurons + h));
            for (int h = 0; h < shape_.neurons; ++h) visit(next++, t, layout.b0 + h, -1);
            for (int h = 0; h < shape_.neurons; ++h) visit(next++, t, layout.w1 + h, -1);
        }
        ++next; // the shared bias
        for (int n = 0; n < shape_.radial; ++n)
            for (int k = 0; k < shape_.radial_basis; ++k)
                for (int t = 0; t < types; ++t)
                    for (int other = 0; other < types; ++other) {
                        const int moment = other * shape_.radial_basis + k;
                        visit(next++, t, layout.cr + std::size_t(n) * layout.moments + moment,
                              std::ptrdiff_t(layout.crt + std::size_t(moment) * layout.radial + n));
                    }
        for (int n = 0; n < shape_.angular; ++n)
            for (int k = 0; k < shape_.angular_basis; ++k)
                for (int t = 0; t < types; ++t)
                    for (int other = 0; other < types; ++other)
                        visit(next++, t,
                              layout.ca + std::size_t(n) * shape_.angular_moments() + other * shape_.angular_basis + k,
                              -1);
    }
    template <class Real>
    static void add_as(const Real* table, std::size_t begin, std::size_t end, double* total) {
        for (std::size_t i = begin; i < end; ++i) total[i] += double(table[i]);
    }
    template <class Real>
    void pack_as(std::span<const double> values, std::span<const double> scale, Real* table, Real* scale_table) const {
        const ParameterLayout layout(shape_);
        for (std::size_t i = 0; i < layout.size * shape_.types; ++i) table[i] = 0;
        for (int d = 0; d < layout.descriptors; ++d) scale_table[d] = d < shape_.descriptors() ? Real(scale[d]) : Real(0);
        each([&](std::size_t from, int type, std::size_t place, std::ptrdiff_t copy) {
            table[layout.size * type + place] = Real(values[from]);
            if (copy >= 0) table[layout.size * type + copy] = Real(values[from]);
        });
    }
    Shape shape_;
    bool double_;
};

} // namespace lizrcl::training
