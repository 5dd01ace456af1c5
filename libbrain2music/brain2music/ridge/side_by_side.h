#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/FunctionRef.h>

#include <cstdint>

namespace brain2music::ridge {

/// Calls work(number) for 0 <= number < count, without gradients: where `like` lies on a CPU several at a time, since
/// its threads would wait for each other within one; elsewhere one after the other.
void side_by_side(int64_t count, const at::Tensor& like, c10::function_ref<void(int64_t)> work);

}  // namespace brain2music::ridge
