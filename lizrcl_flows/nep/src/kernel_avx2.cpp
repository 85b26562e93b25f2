#define LIZRCL_KERNEL avx2_kernel
#define LIZRCL_LANES 4
#include "kernel.hpp"
