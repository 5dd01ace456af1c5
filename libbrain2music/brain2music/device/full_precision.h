#pragma once

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>

namespace brain2music::device {

/// While it lives, on this thread: no gradients, and products of float32 matrices in full on a GPU, whatever the
/// program allows elsewhere (torch.backends.cuda.matmul.allow_tf32 keeps 10 of 23 bits).
struct FullPrecision {
  at::NoGradGuard no_grad;
  at::NoTF32Guard no_tf32;
};

}  // namespace brain2music::device
