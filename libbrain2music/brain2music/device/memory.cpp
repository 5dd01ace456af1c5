#include "brain2music/device/memory.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <string>

namespace brain2music::device {

std::optional<int64_t> free_memory(const c10::Device& device) {
  if (!device.is_cuda() || !at::globalContext().hasCUDA()) {  // fake tensors of a GPU need none
    return std::nullopt;
  }
  const c10::DeviceIndex index = device.has_index() ? device.index() : at::accelerator::getDeviceIndex();
  const auto free = static_cast<int64_t>(at::accelerator::getMemoryInfo(index).first);
  if (!at::getDeviceAllocator(device.type())->initialized()) {
    return free;
  }
  // What LibTorch keeps for reuse is to be had too: it is given back before an allocation fails.
  const auto stats = at::accelerator::getDeviceStats(index);
  const auto all = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return free + std::max<int64_t>(0, stats.reserved_bytes[all].current - stats.active_bytes[all].current);
}

std::optional<int64_t> available_memory(const c10::Device& device) {
  if (!device.is_cpu()) {
    return free_memory(device);
  }
  std::optional<int64_t> available;
  std::ifstream of_system("/proc/meminfo");
  for (std::string word; of_system >> word;) {
    int64_t kibibytes = 0;
    if (word == "MemAvailable:" && of_system >> kibibytes) {
      available = kibibytes * 1024;
      break;
    }
  }
  int64_t most = 0;  // a container, or a job of a cluster, may be allowed less
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> most) {
    available = std::min(available.value_or(most), most);
  }
  return available;
}

void in_blocks(int64_t total, int64_t width, int64_t least, c10::function_ref<void(int64_t, int64_t)> work) {
  for (int64_t first = 0; first < total;) {
    const int64_t count = std::min(width, total - first);
    try {
      work(first, count);
      first += count;
    } catch (const c10::OutOfMemoryError&) {
      if (count <= least) {
        throw;
      }
      width = std::max(least, count / 2);
    }
  }
}

}  // namespace brain2music::device
