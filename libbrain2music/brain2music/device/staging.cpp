#include "brain2music/device/staging.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <future>
#include <memory>
#include <utility>

namespace brain2music::device {

StagedColumns::StagedColumns(at::Tensor x, at::ScalarType type, at::Device device)
    : x_(std::move(x)), type_(type), device_(device) {}

StagedColumns::~StagedColumns() {
  if (ahead_.valid()) {
    ahead_.wait();  // it reads x_
  }
}

StagedColumns::Ahead StagedColumns::copy(int64_t first, int64_t count) const {
  const at::NoGradGuard no_grad_on_this_thread;
  const at::Tensor block = x_.narrow(1, first, count);
  if (!device_.is_cuda() || !x_.is_cpu()) {
    return {block.to(device_, type_), nullptr};
  }
  const at::Tensor pinned =
      at::empty(block.sizes(), block.options().dtype(type_).pinned_memory(true)).copy_(block);  // strided: on the CPU
  const c10::impl::VirtualGuardImpl guard(device_.type());
  const c10::StreamGuard on_its_own(guard.getStreamFromGlobalPool(device_));
  Ahead ahead{at::empty(block.sizes(), pinned.options().pinned_memory(false).device(device_)),
              std::make_shared<c10::Event>(device_.type())};
  ahead.block.copy_(pinned, /*non_blocking=*/true);  // the allocator of pinned memory waits before it reuses it
  ahead.copied->record(on_its_own.current_stream());
  return ahead;
}

void StagedColumns::begin(int64_t first, int64_t count) {
  const bool there = x_.device() == device_ && x_.scalar_type() == type_;
  if (count == 0 || there) {
    return;
  }
  first_ = first;
  count_ = count;
  ahead_ = std::async(std::launch::async, [this, first, count] { return copy(first, count); });
}

at::Tensor StagedColumns::take(int64_t first, int64_t count) {
  Ahead ahead;
  if (ahead_.valid()) {
    ahead = ahead_.get();
  }
  if (!ahead.block.defined() || first != first_ || count != count_) {
    ahead = copy(first, count);
  }
  if (ahead.copied) {
    const c10::Stream stream = c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
    ahead.copied->block(stream);
    ahead.block.record_stream(stream);  // its memory belongs to the stream it was copied on
  }
  return ahead.block;
}

}  // namespace brain2music::device
