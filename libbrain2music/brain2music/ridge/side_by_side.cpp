#include "brain2music/ridge/side_by_side.h"

#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "brain2music/ridge/rows.h"

namespace brain2music::ridge {

void side_by_side(int64_t count, const at::Tensor& like, c10::function_ref<void(int64_t)> work) {
  std::atomic<int64_t> next = 0;
  const auto take_turns = [&] {
    const at::NoGradGuard no_grad_on_this_thread;
    // Most calls are small: what gradients would need, were there any, is not looked at by each of them.
    const at::AutoDispatchBelowADInplaceOrView below_gradients;
    try {
      for (int64_t number = next++; number < count; number = next++) {
        work(number);
      }
    } catch (...) {
      next = count;  // the others stop soon, too
      throw;
    }
  };
  const int64_t threads = std::min<int64_t>(at::get_num_threads(), count);
  if (!like.is_cpu() || !has_values(like) || threads < 2 || at::in_parallel_region()) {
    take_turns();
    return;
  }
  at::parallel_for(0, threads, 1, [&](int64_t first, int64_t last) {
    for (int64_t thread = first; thread < last; ++thread) {
      take_turns();
    }
  });
}

void in_full_rounds(int64_t count, const at::Tensor& like, c10::function_ref<void(int64_t)> work) {
  const int64_t threads = at::get_num_threads();
  const int64_t rest = count % threads;
  const int64_t first = 2 * rest <= threads ? count - rest : count;
  side_by_side(first, like, work);
  for (int64_t number = first; number < count; ++number) {
    side_by_side(1, like, [&](int64_t) { work(number); });
  }
}

}  // namespace brain2music::ridge
