#include "brain2music/device/overlapped.h"

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <future>
#include <vector>

#include "brain2music/device/full_precision.h"

namespace brain2music::device {
namespace {

// More threads would wait for each other to launch.
constexpr int64_t most_threads = 8;

}  // namespace

void overlapped(int64_t count, const c10::Device& device, c10::function_ref<std::vector<at::Tensor>(int64_t)> work) {
  const c10::impl::VirtualGuardImpl guard(device.type());
  const c10::Stream callers = guard.getStream(device);
  c10::Event queued(device.type());
  queued.record(callers);
  std::atomic<int64_t> next = 0;
  const auto take_turns = [&] {
    const FullPrecision full_precision;
    const c10::StreamGuard on_its_own(guard.getStreamFromGlobalPool(callers.device()));
    const c10::Stream own = on_its_own.current_stream();
    queued.block(own);
    try {
      for (int64_t number = next++; number < count; number = next++) {
        for (const at::Tensor& left : work(number)) {
          left.record_stream(callers);
        }
      }
    } catch (...) {
      next = count;  // the others stop soon, too
      throw;
    }
    c10::Event done(device.type());
    done.record(own);
    done.block(callers);
  };
  std::vector<std::future<void>> threads(static_cast<std::size_t>(std::min(count, most_threads)));
  for (std::future<void>& thread : threads) {
    thread = std::async(std::launch::async, take_turns);
  }
  for (const std::future<void>& thread : threads) {
    thread.wait();
  }
  for (std::future<void>& thread : threads) {
    thread.get();
  }
}

}  // namespace brain2music::device
