#define LIZRCL_KERNEL baseline_kernel
#define LIZRCL_LANES 4
#include "kernel.hpp"
