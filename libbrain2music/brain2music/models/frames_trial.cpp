#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "brain2music/check.h"
#include "brain2music/models/stage_trial.h"

namespace brain2music::models {
namespace {

constexpr auto where = "models.bundle";
constexpr int64_t most_frames = 3;
constexpr int64_t changed_at = 2;  // the frame at which the codes of the channels change
constexpr auto methods = "temporal, depth_first and depth_next";

/// A piece's way through the methods, where several are right.
struct Way {
  std::optional<int64_t> row;  // alone
  int64_t source_calls = 0;    // before every frame; 0: one, where the codes change
  bool first_levels = true;    // the levels of frame 0 are gone through
};

class FramesTrial final : public StageTrial {
 public:
  FramesTrial(const Stage& stage, const Script& script, int64_t condition_size, const std::vector<int64_t>& given)
      : StageTrial(stage, script, condition_size), frames_(std::min(stage.max_length, most_frames)) {
    std::vector<at::Tensor> levels;
    for (const int64_t codes : stage.codes) {
      // As many rows of numbers as the level's place, and the last of them: no two levels are alike.
      const auto rows = static_cast<int64_t>(levels.size()) + 1;
      levels.push_back(scattered_codes({batch, rows, frames_}, codes).narrow(1, rows - 1, 1));
    }
    codes_ = at::cat(levels, 1).to(script.device());
    channels_ = {made_up_channels(given, 0).to(script.device()), made_up_channels(given, 1).to(script.device())};
  }

  StageFacts facts() override {
    at::Tensor whole;
    check_module(script_.changed_by([&] { whole = logits({}); }));
    check_second_piece(whole, logits({}), methods);
    constexpr int64_t twice = 2;
    compare(
        whole, logits({.source_calls = twice}),
        "must give the same logits whether source is called before every frame, twice, or once where its codes change",
        "let source overwrite what it wrote before, and nothing else");
    if (frames_ > 1) {
      compare(whole.narrow(1, 1, frames_ - 1), logits({.first_levels = false}),
              "must give a frame the same logits whether the levels of the frame before were gone through or not",
              "let depth_first begin anew, and write what later frames need in temporal");
    }
    StageFacts found;
    found.rows_independent = true;
    for (int64_t row = 0; row < batch; ++row) {
      found.rows_independent = found.rows_independent && at::equal(logits({.row = row}), whole.narrow(0, row, 1));
    }
    found.obstacle = obstacle_;
    found.capturable = found.obstacle.empty();
    return found;
  }

 private:
  /// Codes (batch, columns) that every network of the manifest's layout knows.
  at::Tensor made_up_channels(const std::vector<int64_t>& given, int64_t variant) const {
    std::vector<at::Tensor> columns;
    std::size_t source = 0;
    for (const Channel& channel : stage_.channels) {
      if (channel.guidance) {
        const int64_t code = channel.guidance->code(stage_.sampling.guidance).value_or(0);
        columns.push_back(at::full({batch, 1}, (code + variant) % channel.guidance->codes, at::kLong));
      } else if (channel.from.empty()) {
        columns.push_back(at::full({batch, channel.count}, channel.code, at::kLong));
      } else {
        columns.push_back((scattered_codes({batch, given.at(source++)}, 2) + variant).remainder(2));
      }
    }
    return at::cat(columns, 1);
  }

  static at::Tensor of_row(const at::Tensor& all, const Way& way) {
    return way.row ? all.narrow(0, *way.row, 1).clone() : all.clone();
  }

  /// The logits (rows, frames, levels, vocabulary) of a piece whose codes are given.
  at::Tensor logits(const Way& way) {
    const at::Tensor codes = of_row(codes_, way);
    const StageState state = script_.init_state(codes.size(0), frames_, condition(way.row));
    at::Tensor previous = at::full({codes.size(0), stage_.levels()}, stage_.start, codes.options());
    std::vector<at::Tensor> frames;
    for (int64_t frame = 0; frame < frames_; ++frame) {
      const at::Tensor position = at::full({}, frame, codes.options());
      const bool changes = frame == 0 || frame == changed_at;
      const at::Tensor channels = of_row(channels_[frame < changed_at ? 0 : 1], way);
      for (int64_t call = 0; call < std::max<int64_t>(way.source_calls, changes ? 1 : 0); ++call) {
        called("source", {channels, position}, state, [&] {
          script_.source(channels, position, state);
          return at::Tensor();
        });
      }
      const at::Tensor h =
          called("temporal", {previous, position}, state, [&] { return script_.temporal(previous, position, state); });
      if (h.dim() != 2 || h.size(0) != codes.size(0)) {
        fail(where, "stage '", stage_.name, "' must return (batch, d) from temporal, ", codes.size(0), " rows; got ",
             h.sizes());
      }
      check_values(h, "temporal", "frame " + std::to_string(frame));
      const at::Tensor now = codes.select(2, frame).clone();
      if (frame > 0 || way.first_levels) {
        frames.push_back(levels_of(h, now, state, frame));
      }
      previous = now;
    }
    return at::stack(frames, 1);
  }

  /// The logits (rows, levels, vocabulary) of a frame.
  at::Tensor levels_of(const at::Tensor& h, const at::Tensor& codes, const StageState& state, int64_t frame) {
    std::vector<at::Tensor> levels;
    for (int64_t level = 0; level < stage_.levels(); ++level) {
      const char* const method = level == 0 ? "depth_first" : "depth_next";
      const at::Tensor code = level == 0 ? h : codes.select(1, level - 1).clone();
      const at::Tensor found = called(method, {code}, state, [&] {
        return level == 0 ? script_.depth_first(code, state) : script_.depth_next(code, level, state);
      });
      const std::array<int64_t, 2> expected{codes.size(0), stage_.vocabulary};
      if (found.sizes() != at::IntArrayRef(expected)) {
        fail(where, "stage '", stage_.name, "' must return shape ", at::IntArrayRef(expected), " from ", method,
             ", the batch and field 'vocabulary'; got ", found.sizes(), " at level ", level);
      }
      check_values(found, method, "frame " + std::to_string(frame) + ", level " + std::to_string(level));
      levels.push_back(found);
    }
    return at::stack(levels, 1);
  }

  /// Calls a method, and checks what it left of its inputs and the state.
  /// @return a copy of what it returned
  template <class Call>
  at::Tensor called(const char* method, const std::vector<at::Tensor>& inputs, const StageState& state,
                    const Call& call) {
    std::vector<at::Tensor> inputs_before;
    inputs_before.reserve(inputs.size());
    for (const at::Tensor& input : inputs) {
      inputs_before.push_back(input.clone());
    }
    const std::vector<at::Tensor> before = state.vec();
    at::Tensor result;
    if (obstacle_.empty()) {
      const CaptureWatch watch;
      result = call();
      obstacle_ = CaptureWatch::operation();
    } else {
      result = call();
    }
    result = result.defined() ? result.clone() : result;
    check_state(before, state.vec(), method);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!at::equal(inputs[i], inputs_before[i])) {
        fail(where, "stage '", stage_.name, "' must leave its inputs as they are in ", method,
             "; got others after the call: work on copies");
      }
    }
    return result;
  }

  void compare(const at::Tensor& expected, const at::Tensor& found, const char* rule, const char* advice) const {
    const at::Tensor values = expected.to(at::kDouble);
    const auto most = (found.to(at::kDouble) - values).abs().max().item<double>();
    const double allowed = tolerance() * values.abs().max().item<double>();
    if (most > allowed) {
      fail(where, "stage '", stage_.name, "' ", rule, ", within ", allowed, "; got logits ", most, " apart: ", advice);
    }
  }

  int64_t frames_;
  at::Tensor codes_;                    // (batch, levels, frames)
  std::array<at::Tensor, 2> channels_;  // (batch, columns) each: before the change, and from it on
};

}  // namespace

std::unique_ptr<StageTrial> frames_trial(const Stage& stage, const Script& script, int64_t condition_size,
                                         const std::vector<int64_t>& given) {
  return std::make_unique<FramesTrial>(stage, script, condition_size, given);
}

}  // namespace brain2music::models
