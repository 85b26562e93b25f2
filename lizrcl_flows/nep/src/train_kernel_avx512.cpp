#define LIZRCL_TRAINING_KERNELS avx512_kernels
#include "train_kernel.hpp"
