#define LIZRCL_KERNEL avx512_kernel
#define LIZRCL_LANES 8
#include "kernel.hpp"
