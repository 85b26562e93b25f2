// The kernels for this processor, and the tables they share.
#include "train_evaluator.hpp"

#include <numeric>

namespace lizrcl::training {

Kernel baseline_kernels(bool double_precision, int l_max);
#if defined(LIZRCL_X86_KERNELS)
Kernel avx2_kernels(bool double_precision, int l_max);
Kernel avx512_kernels(bool double_precision, int l_max);
#endif

std::string best_instruction_set() {
#if defined(LIZRCL_X86_KERNELS)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw"))
        return "avx512";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "avx2";
#endif
    return "baseline";
}

Kernel choose_kernel(bool double_precision, int l_max, const std::string& instruction_set) {
#if defined(LIZRCL_X86_KERNELS)
    const std::string name = instruction_set.empty() ? best_instruction_set() : instruction_set;
    if (name == "avx512") return avx512_kernels(double_precision, l_max);
    if (name == "avx2") return avx2_kernels(double_precision, l_max);
#endif
    return baseline_kernels(double_precision, l_max);
}

namespace {

// Z_lm(z) is the m-th derivative of the Legendre polynomial P_l with its coefficients divided by their greatest common
// divisor; the weights follow from the addition theorem of the Legendre polynomials.
HarmonicTable make_harmonics() {
    HarmonicTable table{};
    constexpr double pi = 3.14159265358979323846;
    int component = 0;
    for (int l = 1; l <= 8; ++l) {
        for (int m = 0; m <= l; ++m) {
            // 2^l P_l(z) = sum_i (-1)^i C(l, i) C(2l - 2i, l) z^(l - 2i), differentiated m times
            auto choose = [](int n, int k) {
                long long value = 1;
                for (int i = 1; i <= k; ++i) value = value * (n - k + i) / i;
                return value;
            };
            long long coefficient[5] = {}, divisor = 0;
            for (int i = 0; l - 2 * i >= m; ++i) {
                long long c = (i % 2 ? -1 : 1) * choose(l, i) * choose(2 * l - 2 * i, l);
                for (int power = l - 2 * i; power > l - 2 * i - m; --power) c *= power;
                coefficient[(l - 2 * i - m) / 2] = c;
                divisor = std::gcd(divisor, c);
            }
            for (int i = 0; i < 5; ++i) table.polynomial[l][m][i] = double(coefficient[i] / divisor);
            const double scale = double(divisor) / double(1LL << l); // d^m P_l / dz^m = scale * Z_lm
            double ratio = 1;                                        // (l - m)! / (l + m)!
            for (int i = l - m + 1; i <= l + m; ++i) ratio /= i;
            const double weight = (2 * l + 1) / (4 * pi) * ratio * scale * scale * (m == 0 ? 1 : 2);
            table.weight[component++] = weight;
            if (m > 0) table.weight[component++] = weight;
        }
    }
    return table;
}

} // namespace

const HarmonicTable& harmonics() {
    static const HarmonicTable table = make_harmonics();
    return table;
}

} // namespace lizrcl::training
