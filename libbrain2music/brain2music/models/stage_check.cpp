#include "brain2music/models/stage_check.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/models/stage_trial.h"

namespace brain2music::models {
namespace {

constexpr auto where = "models.bundle";
constexpr int64_t most_tokens = 4;  // two at once, then one and one

/// The trial of the families whose networks have the method `extend`.
class SequenceTrial final : public StageTrial {
 public:
  SequenceTrial(const Stage& stage, const Script& script, int64_t condition_size, int64_t given)
      : StageTrial(stage, script, condition_size), length_(std::min(stage.max_length, most_tokens)) {
    tokens_ = made_up_tokens(given).to(script.device());
  }

  StageFacts facts() override {
    const std::vector<int64_t> at_once{length_};
    const std::vector<int64_t> one_by_one(static_cast<std::size_t>(length_), 1);
    std::vector<int64_t> mixed(static_cast<std::size_t>(std::max<int64_t>(1, length_ - 1)), 1);
    mixed.front() = length_ - static_cast<int64_t>(mixed.size()) + 1;

    at::Tensor whole;
    check_module(script_.changed_by([&] { whole = logits(at_once); }));
    compare(whole, logits(one_by_one), "one by one");
    const at::Tensor in_parts = logits(mixed);
    compare(whole, in_parts, "some at once, then one by one");
    check_second_piece(whole, logits(at_once), "extend");

    StageFacts found;
    found.rows_independent = true;
    for (int64_t row = 0; row < batch; ++row) {
      found.rows_independent = found.rows_independent && at::equal(logits(mixed, row), in_parts.narrow(0, row, 1));
    }
    found.obstacle = obstacle_;
    found.capturable = found.obstacle.empty();
    return found;
  }

 private:
  at::Tensor made_up_tokens(int64_t given) const {
    if (stage_.family == Family::tokens) {
      return scattered_codes({batch, length_}, stage_.vocabulary);
    }
    // Codes that every earlier level has, then codes of each level.
    std::vector<at::Tensor> levels{scattered_codes({batch, given, length_}, 2)};
    for (const int64_t codes : stage_.codes) {
      levels.push_back(scattered_codes({batch, static_cast<int64_t>(levels.size()), length_}, codes).narrow(1, 0, 1));
    }
    return at::cat(levels, 1);
  }

  /// The logits (rows, [levels,] tokens, vocabulary) of a piece whose tokens are given in parts.
  at::Tensor logits(const std::vector<int64_t>& parts, std::optional<int64_t> row = std::nullopt) {
    const auto of_row = [&](const at::Tensor& all) { return row ? all.narrow(0, *row, 1).clone() : all.clone(); };
    const at::Tensor tokens = of_row(tokens_);
    const StageState state = script_.init_state(tokens.size(0), length_, condition(row));
    std::vector<at::Tensor> pieces;
    int64_t position = 0;
    for (const int64_t count : parts) {
      pieces.push_back(extended(tokens.narrow(-1, position, count).clone(), position, state));
      position += count;
    }
    return at::cat(pieces, -2);
  }

  at::Tensor extended(const at::Tensor& tokens, int64_t position, const StageState& state) {
    const at::Tensor at_position =
        at::full({}, position, at::TensorOptions().dtype(at::kLong).device(script_.device()));
    const at::Tensor tokens_before = tokens.clone();
    const std::vector<at::Tensor> before = state.vec();
    const at::Tensor result = watched(tokens, at_position, state).clone();
    check_state(before, state.vec(), "extend");
    if (at_position.item<int64_t>() != position || !at::equal(tokens, tokens_before)) {
      refuse("must leave tokens and position as they are in extend", "others after the call", "work on copies");
    }
    std::vector<int64_t> expected{tokens.size(0), tokens.size(-1), stage_.vocabulary};
    if (stage_.family == Family::parallel) {
      expected.insert(expected.begin() + 1, stage_.levels());
    }
    if (result.sizes() != at::IntArrayRef(expected)) {
      fail(where, "stage '", stage_.name, "' must return shape ", at::IntArrayRef(expected),
           " from extend, the batch, ", stage_.family == Family::parallel ? "the levels, " : "",
           "the tokens and field 'vocabulary'; got ", result.sizes());
    }
    check_values(result, "extend", "position " + std::to_string(position));
    return result;
  }

  at::Tensor watched(const at::Tensor& tokens, const at::Tensor& position, const StageState& state) {
    if (tokens.size(-1) > 1 || !obstacle_.empty()) {  // a graph holds steps of one token
      return script_.extend(tokens, position, state);
    }
    const CaptureWatch watch;
    at::Tensor result = script_.extend(tokens, position, state);
    obstacle_ = CaptureWatch::operation();
    return result;
  }

  /// Compares the logits of tokens at once with those of tokens in parts.
  void compare(const at::Tensor& at_once, const at::Tensor& in_parts, const char* how) const {
    const at::Tensor expected = at_once.to(at::kDouble);
    const at::Tensor apart = (in_parts.to(at::kDouble) - expected).abs();
    const double allowed = tolerance() * expected.abs().max().item<double>();
    for (int64_t position = 0; position < length_; ++position) {
      const auto most = apart.select(-2, position).max().item<double>();
      if (most > allowed) {
        fail(where, "stage '", stage_.name,
             "' must return from extend the logits of tokens at once when it is given them ", how, ", within ", allowed,
             "; got logits ", most, " apart at position ", position,
             ": write what later tokens need into the state, count from 'position', and let no token see a later one");
      }
    }
  }

  int64_t length_;
  at::Tensor tokens_;
};

}  // namespace

StageFacts check_stage(const Stage& stage, const Script& script, int64_t condition_size,
                       const std::vector<int64_t>& given) {
  if (stage.family == Family::frames) {
    return frames_trial(stage, script, condition_size, given)->facts();
  }
  const int64_t levels = std::accumulate(given.begin(), given.end(), int64_t{0});
  return SequenceTrial(stage, script, condition_size, stage.family == Family::parallel ? levels : 0).facts();
}

}  // namespace brain2music::models
