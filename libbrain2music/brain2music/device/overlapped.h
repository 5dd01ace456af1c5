#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/util/FunctionRef.h>

#include <cstdint>
#include <vector>

namespace brain2music::device {

/// Calls work(number) for 0 <= number < count on a GPU, several at a time, each queued on a stream of its own: for work
/// that alone would leave most of the GPU idle. Streams wait for what the caller has queued, and the caller's for them.
/// @param count  how many.
/// @param device a CUDA device.
/// @param work   called from several threads; returns the tensors that it leaves behind, so that the memory of none is
///               given to others while the caller's stream still uses it.
void overlapped(int64_t count, const c10::Device& device, c10::function_ref<std::vector<at::Tensor>(int64_t)> work);

}  // namespace brain2music::device
