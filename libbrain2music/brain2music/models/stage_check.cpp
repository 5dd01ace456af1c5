#include "brain2music/models/stage_check.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/remainder.h>
#include <ATen/ops/sin.h>
#include <ATen/record_function.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/models/script_state.h"

namespace brain2music::models {
namespace {

constexpr auto where = "models.bundle";
constexpr int64_t batch = 3;
constexpr int64_t most_tokens = 4;  // two at once, then one and one

/// Numbers without an order that a network could miss, in [-1, 1]; alike on every machine.
at::Tensor scattered(at::IntArrayRef shape) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    count *= size;
  }
  const at::Tensor steps = at::arange(1, count + 1, at::TensorOptions().dtype(at::kDouble));
  return at::sin(steps * steps).view(shape);
}

/// Codes from 0 to `codes` - 1.
at::Tensor scattered_codes(at::IntArrayRef shape, int64_t codes) {
  constexpr double spread = 1e4;
  return at::remainder((scattered(shape) * spread).to(at::kLong), codes);
}

/// Notes the first operation on this thread that a CUDA graph cannot hold: the host waits for a tensor's value or
/// shape, or a value goes from one device to another. What runs is watched, not the graph: whether a tensor is indexed
/// by numbers or by a mask is not seen in it.
class Watch {
 public:
  Watch() : handle_(at::addThreadLocalCallback(at::RecordFunctionCallback(&started).needsInputs(true))) {
    found.clear();
  }
  ~Watch() { at::removeCallback(handle_); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  /// The name of the operation, e.g. "aten::item"; empty for none.
  static const std::string& operation() { return found; }

 private:
  static std::unique_ptr<at::ObserverContext> started(const at::RecordFunction& function) {
    const auto name = function.operator_name();
    if (found.empty() && name && is_obstacle(*name, function.inputs())) {
      found = name->name;
    }
    return nullptr;
  }

  static bool is_obstacle(const c10::OperatorName& name, c10::ArrayRef<const c10::IValue> inputs) {
    if (name.name == "aten::index") {  // by a mask it calls aten::nonzero
      return false;
    }
    if (name.name == "aten::copy_") {
      return inputs[0].toTensor().device() != inputs[1].toTensor().device();
    }
    const auto operation = c10::Dispatcher::singleton().findSchema(name);
    return operation &&
           (operation->hasTag(at::Tag::data_dependent_output) || operation->hasTag(at::Tag::dynamic_output_shape));
  }

  static thread_local std::string found;
  at::CallbackHandle handle_;
};

thread_local std::string Watch::found;

/// A stage's network on sequences of its own.
class Trial {
 public:
  Trial(const Stage& stage, const Script& script, int64_t condition_size, int64_t given)
      : stage_(stage), script_(script), length_(std::min(stage.max_length, most_tokens)) {
    const at::Device device = script.device();
    tokens_ = made_up_tokens(given).to(device);
    if (stage.condition && stage.condition->codes) {
      condition_ = scattered_codes({batch, condition_size}, 2).to(device);
    } else if (stage.condition) {
      condition_ = scattered({batch, condition_size}).to(at::kFloat).to(device);
    }
  }

  StageFacts facts() {
    const std::vector<int64_t> at_once{length_};
    const std::vector<int64_t> one_by_one(static_cast<std::size_t>(length_), 1);
    std::vector<int64_t> mixed(static_cast<std::size_t>(std::max<int64_t>(1, length_ - 1)), 1);
    mixed.front() = length_ - static_cast<int64_t>(mixed.size()) + 1;

    at::Tensor whole;
    const std::string changed = script_.changed_by([&] { whole = logits(at_once); });
    if (!changed.empty()) {
      refuse("must keep nothing from one call to the next", changed + ", which a piece changes",
             "pass all that changes in the state");
    }
    compare(whole, logits(one_by_one), "one by one");
    const at::Tensor in_parts = logits(mixed);
    compare(whole, in_parts, "some at once, then one by one");
    check_second_piece(whole, logits(at_once));

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
    const std::optional<at::Tensor> condition = condition_ ? std::optional(of_row(*condition_)) : std::nullopt;
    const StageState state = script_.init_state(tokens.size(0), length_, condition);
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
    check_state(before, state.vec());
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
    if (!at::isFloatingType(result.scalar_type())) {
      fail(where, "stage '", stage_.name, "' must return a floating type from extend; got ", result.scalar_type());
    }
    if (!at::isfinite(result).all().item<bool>()) {
      fail(where, "stage '", stage_.name, "' must return finite logits from extend; got NaN or Inf at position ",
           position, " of a few plain tokens");
    }
    return result;
  }

  at::Tensor watched(const at::Tensor& tokens, const at::Tensor& position, const StageState& state) {
    if (tokens.size(-1) > 1 || !obstacle_.empty()) {  // a graph holds steps of one token
      return script_.extend(tokens, position, state);
    }
    const Watch watch;
    at::Tensor result = script_.extend(tokens, position, state);
    obstacle_ = Watch::operation();
    return result;
  }

  /// Tensors may be replaced, but not by others: memory is planned from what init_state returns.
  void check_state(const std::vector<at::Tensor>& before, const std::vector<at::Tensor>& after) {
    if (before.size() != after.size()) {
      fail(where, "stage '", stage_.name, "' must keep the ", before.size(), " tensors of its state in extend; got ",
           after.size(), ": allocate the state in init_state");
    }
    for (std::size_t i = 0; i < before.size(); ++i) {
      if (before[i].sizes() != after[i].sizes() || before[i].scalar_type() != after[i].scalar_type()) {
        fail(where, "stage '", stage_.name, "' must keep shape and type of state[", i, "] in extend, ",
             before[i].sizes(), " ", before[i].scalar_type(), "; got ", after[i].sizes(), " ", after[i].scalar_type(),
             ": allocate the state in init_state");
      }
      if (!before[i].is_same(after[i]) && obstacle_.empty()) {
        obstacle_ = "state[" + std::to_string(i) + "], which extend replaces";
      }
    }
  }

  double tolerance() const {
    constexpr double in_float32 = 1e-4;
    constexpr double roundings = 16;
    switch (script_.working_dtype()) {
      case at::kHalf:
        return roundings * std::numeric_limits<c10::Half>::epsilon();
      case at::kBFloat16:
        return roundings * std::numeric_limits<c10::BFloat16>::epsilon();
      default:
        return in_float32;
    }
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

  void check_second_piece(const at::Tensor& first, const at::Tensor& second) const {
    const double allowed = script_.device().is_cpu() ? 0 : 1e-5;
    if (!same_within(first, second, allowed)) {
      refuse("must say the same of a second piece as of a first, in extend", "other logits",
             "begin from what init_state returns alone");
    }
  }

  [[noreturn]] void refuse(const char* rule, const std::string& found, const char* advice) const {
    fail(where, "stage '", stage_.name, "' ", rule, "; got ", found, ": ", advice);
  }

  const Stage& stage_;
  const Script& script_;
  int64_t length_;
  at::Tensor tokens_;
  std::optional<at::Tensor> condition_;
  std::string obstacle_;
};

}  // namespace

StageFacts check_stage(const Stage& stage, const Script& script, int64_t condition_size, int64_t given) {
  return Trial(stage, script, condition_size, given).facts();
}

}  // namespace brain2music::models
