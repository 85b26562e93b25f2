// The kernels for this processor.
#include "train_evaluator.hpp"

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

} // namespace lizrcl::training
