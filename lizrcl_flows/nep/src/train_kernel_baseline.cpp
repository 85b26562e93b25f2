#define LIZRCL_TRAINING_KERNELS baseline_kernels
#include "train_kernel.hpp"
