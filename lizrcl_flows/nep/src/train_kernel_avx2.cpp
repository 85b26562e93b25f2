#define LIZRCL_TRAINING_KERNELS avx2_kernels
#include "train_kernel.hpp"
