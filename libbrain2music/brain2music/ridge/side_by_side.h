#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/FunctionRef.h>

#include <cstdint>

namespace brain2music::ridge {

/// Calls work(number) for 0 <= number < count, without gradients: where `like` lies on a CPU several at a time, since
/// its threads would wait for each other within one; elsewhere one after the other.
void side_by_side(int64_t count, const at::Tensor& like, c10::function_ref<void(int64_t)> work);

/// The same for work that would use all threads by itself: what a last round would leave most threads idle with is done
/// one after the other, by all of them.
void in_full_rounds(int64_t count, const at::Tensor& like, c10::function_ref<void(int64_t)> work);

}  // namespace brain2music::ridge
