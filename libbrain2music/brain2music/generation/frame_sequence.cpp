#include "brain2music/generation/frame_sequence.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <utility>
#include <vector>

#include "brain2music/check.h"

namespace brain2music::generation {
namespace {

constexpr auto where = "generation.MusicGenerator";
constexpr int64_t looked_at_every = 8;  // frames on a GPU between two looks at what was drawn

}  // namespace

FrameSequence::FrameSequence(LoadedStage stage, FrameStart start, FrameDraw draw)
    : stage_(std::move(stage)),
      plan_(std::move(start.plan)),
      draw_(std::move(draw)),
      frames_(start.window.end - start.window.first) {
  const models::Stage& about = *stage_.about;
  const at::TensorOptions whole = plan_.channels.options();
  const int64_t batch = plan_.channels.size(1);
  const int64_t levels = about.levels();
  state_ = stage_.script->init_state(batch, frames_, start.condition);
  position_ = at::zeros({}, whole);
  counter_ = at::full({}, start.window.fresh, whole);
  failed_ = at::zeros({}, whole.dtype(at::kBool));
  previous_ = at::full({batch, levels}, about.start, whole);
  written_ = at::zeros({batch, levels, frames_}, whole);
  ranges_ = at::zeros({levels, batch, 2}, whole);
  ranges_.select(2, 1).copy_(at::tensor(about.codes, at::kLong).unsqueeze(1));
  tell_known(start.before);
}

/// A known frame is told by what stands in it: its levels need not be gone through.
void FrameSequence::tell_known(const at::Tensor& before) {
  for (; next_ < before.size(2); ++next_) {
    tell_source();
    (void)stage_.script->temporal(previous_, position_, state_);
    previous_.copy_(before.select(2, next_));
    written_.select(2, next_).copy_(previous_);
    position_.add_(1);
  }
}

void FrameSequence::tell_source() {
  if (told_ < plan_.changes.size() && plan_.changes[told_] == next_) {
    stage_.script->source(plan_.channels[static_cast<int64_t>(told_)], position_, state_);
    ++told_;
  }
}

void FrameSequence::step() {
  tell_source();
  const bool on_host = written_.is_cpu();
  if (on_host) {
    write_frame();
  } else {
    if (!graph_) {
      // The calls that warm a graph up write into the state: it is put back with what they advance.
      std::vector<at::Tensor> changed{position_, counter_, failed_, previous_};
      const std::vector<at::Tensor> state = state_.vec();
      changed.insert(changed.end(), state.begin(), state.end());
      graph_ = std::make_unique<StepGraph>([this] { write_frame(); }, written_.device(), changed, stage_.capturable);
    }
    (*graph_)();
  }
  ++next_;
  if ((on_host || next_ % looked_at_every == 0 || done()) && failed_.item<bool>()) {
    failed();
  }
}

/// Nothing here reads a tensor's value: a CUDA graph may hold all of it.
void FrameSequence::write_frame() {
  const models::Script& script = *stage_.script;
  const int64_t levels = stage_.about->levels();
  const at::Tensor h = script.temporal(previous_, position_, state_);
  std::vector<at::Tensor> codes;
  codes.reserve(static_cast<std::size_t>(levels));
  for (int64_t level = 0; level < levels; ++level) {
    const at::Tensor logits =
        level == 0 ? script.depth_first(h, state_) : script.depth_next(codes.back(), level, state_);
    const at::Tensor ids = kernels::sample_tokens(logits.to(at::kFloat), ranges_[level], draw_.streams[level], counter_,
                                                  draw_.seed, draw_.options);
    failed_.logical_or_(ids.lt(0).any());
    codes.push_back(ids.clamp_min(0));
  }
  previous_.copy_(at::stack(codes, 1));
  written_.index_copy_(2, position_.view(1), previous_.unsqueeze(2));
  position_.add_(1);
  counter_.add_(1);
}

void FrameSequence::failed() const {
  fail(where, "stage '", stage_.about->name, "' must give a finite logit for a code that may be drawn; got none at ",
       "frame ", next_ - 1, written_.is_cpu() ? "" : " or shortly before",
       ": its weights or the embedding are out of range");
}

}  // namespace brain2music::generation
