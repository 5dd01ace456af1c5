#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "brain2music/models/manifest.h"
#include "brain2music/models/script.h"
#include "brain2music/models/stage_check.h"

namespace brain2music::models {

/// Numbers without an order that a network could miss, in [-1, 1]; alike on every machine. float64.
at::Tensor scattered(at::IntArrayRef shape);

/// Codes from 0 to `codes` - 1.
at::Tensor scattered_codes(at::IntArrayRef shape, int64_t codes);

/// Notes the first operation on this thread that a CUDA graph cannot hold: the host waits for a tensor's value or
/// shape, or a value goes from one device to another. What runs is watched, not the graph: whether a tensor is indexed
/// by numbers or by a mask is not seen in it.
class CaptureWatch {
 public:
  CaptureWatch();
  ~CaptureWatch();
  CaptureWatch(const CaptureWatch&) = delete;
  CaptureWatch& operator=(const CaptureWatch&) = delete;

  /// The name of the operation, e.g. "aten::item"; empty for none.
  static const std::string& operation() { return found; }

 private:
  static std::unique_ptr<at::ObserverContext> started(const at::RecordFunction& function);

  static thread_local std::string found;
  at::CallbackHandle handle_;
};

/// What the trials of all families have in common: a stage's network is run on sequences of its own.
class StageTrial {
 public:
  StageTrial(const StageTrial&) = delete;
  StageTrial& operator=(const StageTrial&) = delete;
  virtual ~StageTrial() = default;

  /// Runs the network.
  /// @throws std::runtime_error at the first thing that is wrong.
  virtual StageFacts facts() = 0;

 protected:
  static constexpr int64_t batch = 3;

  StageTrial(const Stage& stage, const Script& script, int64_t condition_size);

  /// The condition of all rows or of one, a copy; none where the stage has none.
  std::optional<at::Tensor> condition(std::optional<int64_t> row) const;

  /// Checks that a method keeps number, shapes and types of the state's tensors, and notes one that it replaces:
  /// memory is planned from what init_state returns.
  void check_state(const std::vector<at::Tensor>& before, const std::vector<at::Tensor>& after, const char* method);

  /// Checks type and values of what a method returns. `at` is e.g. "position 3".
  void check_values(const at::Tensor& returned, const char* method, const std::string& at) const;

  /// Checks that the module itself keeps nothing; `changed` is what Script::changed_by() returned.
  void check_module(const std::string& changed) const;

  /// Checks that a second piece has the logits of a first.
  void check_second_piece(const at::Tensor& first, const at::Tensor& second, const char* methods) const;

  /// How far logits of one thing may lie apart, as a share of the largest.
  double tolerance() const;

  [[noreturn]] void refuse(const char* rule, const std::string& found, const char* advice) const;

  const Stage& stage_;
  const Script& script_;
  std::string obstacle_;  // what keeps a step out of a CUDA graph

 private:
  std::optional<at::Tensor> condition_;
};

/// The trial of the family frames. `given` is as for check_stage().
std::unique_ptr<StageTrial> frames_trial(const Stage& stage, const Script& script, int64_t condition_size,
                                         const std::vector<int64_t>& given);

}  // namespace brain2music::models
