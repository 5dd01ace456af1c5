#include "brain2music/generation/frame_layout.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <iterator>
#include <optional>

namespace brain2music::generation {
namespace {

/// The frames at which the codes (B, rows, frames) differ from those of the frame before, and the first.
std::vector<int64_t> changes_in(const at::Tensor& codes) {
  std::vector<int64_t> changes{0};
  if (const int64_t frames = codes.size(2); frames > 1) {
    const at::Tensor differ =
        codes.narrow(2, 1, frames - 1).ne(codes.narrow(2, 0, frames - 1)).flatten(0, 1).any(0).to(at::kCPU);
    const bool* const values = differ.const_data_ptr<bool>();
    for (int64_t i = 0; i < frames - 1; ++i) {
      if (values[i]) {
        changes.push_back(i + 1);
      }
    }
  }
  return changes;
}

/// Codes (B, columns, frames) at some frames; one frame holds for all.
at::Tensor at_frames(const at::Tensor& codes, const std::vector<int64_t>& frames) {
  if (codes.size(2) == 1) {
    return codes.expand({-1, -1, static_cast<int64_t>(frames.size())});
  }
  return codes.index_select(2, at::tensor(frames, codes.options()));
}

}  // namespace

FramePlan plan_frames(const models::Stage& stage, const StageWindow& window,
                      const std::map<std::string, CodeSource>& sources, double guidance, const at::Tensor& beside) {
  const at::TensorOptions whole = beside.options().dtype(at::kLong);
  std::vector<at::Tensor> columns;  // (B, n, 1) or (B, n, frames)
  FramePlan plan{{0}, {}};
  for (const models::Channel& channel : stage.channels) {
    if (channel.from.empty()) {
      const std::optional<int64_t> told = channel.guidance ? channel.guidance->code(guidance) : std::nullopt;
      columns.push_back(
          at::full({beside.size(0), channel.guidance ? 1 : channel.count, 1}, told.value_or(channel.code), whole));
      continue;
    }
    columns.push_back(codes_by_frame(stage, window, sources.at(channel.from)));
    const std::vector<int64_t> own = changes_in(columns.back());
    std::vector<int64_t> both;
    std::ranges::set_union(plan.changes, own, std::back_inserter(both));
    plan.changes = both;
  }
  for (at::Tensor& some : columns) {
    some = at_frames(some, plan.changes);
  }
  plan.channels = at::cat(columns, 1).permute({2, 0, 1}).contiguous();
  return plan;
}

}  // namespace brain2music::generation
