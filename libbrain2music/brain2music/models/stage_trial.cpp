#include "brain2music/models/stage_trial.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/remainder.h>
#include <ATen/ops/sin.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>

#include <cstddef>
#include <limits>

#include "brain2music/check.h"
#include "brain2music/models/script_state.h"

namespace brain2music::models {
namespace {

constexpr auto where = "models.bundle";

bool is_obstacle(const c10::OperatorName& name, c10::ArrayRef<const c10::IValue> inputs) {
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

}  // namespace

at::Tensor scattered(at::IntArrayRef shape) {
  int64_t count = 1;
  for (const int64_t size : shape) {
    count *= size;
  }
  const at::Tensor steps = at::arange(1, count + 1, at::TensorOptions().dtype(at::kDouble));
  return at::sin(steps * steps).view(shape);
}

at::Tensor scattered_codes(at::IntArrayRef shape, int64_t codes) {
  constexpr double spread = 1e4;
  return at::remainder((scattered(shape) * spread).to(at::kLong), codes);
}

CaptureWatch::CaptureWatch()
    : handle_(at::addThreadLocalCallback(at::RecordFunctionCallback(&started).needsInputs(true))) {
  found.clear();
}

CaptureWatch::~CaptureWatch() { at::removeCallback(handle_); }

std::unique_ptr<at::ObserverContext> CaptureWatch::started(const at::RecordFunction& function) {
  const auto name = function.operator_name();
  if (found.empty() && name && is_obstacle(*name, function.inputs())) {
    found = name->name;
  }
  return nullptr;
}

thread_local std::string CaptureWatch::found;

StageTrial::StageTrial(const Stage& stage, const Script& script, int64_t condition_size)
    : stage_(stage), script_(script) {
  if (stage.condition && stage.condition->codes) {
    condition_ = scattered_codes({batch, condition_size}, 2).to(script.device());
  } else if (stage.condition) {
    condition_ = scattered({batch, condition_size}).to(at::kFloat).to(script.device());
  }
}

std::optional<at::Tensor> StageTrial::condition(std::optional<int64_t> row) const {
  if (!condition_) {
    return std::nullopt;
  }
  return row ? condition_->narrow(0, *row, 1).clone() : condition_->clone();
}

void StageTrial::check_state(const std::vector<at::Tensor>& before, const std::vector<at::Tensor>& after,
                             const char* method) {
  if (before.size() != after.size()) {
    fail(where, "stage '", stage_.name, "' must keep the ", before.size(), " tensors of its state in ", method,
         "; got ", after.size(), ": allocate the state in init_state");
  }
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i].sizes() != after[i].sizes() || before[i].scalar_type() != after[i].scalar_type()) {
      fail(where, "stage '", stage_.name, "' must keep shape and type of state[", i, "] in ", method, ", ",
           before[i].sizes(), " ", before[i].scalar_type(), "; got ", after[i].sizes(), " ", after[i].scalar_type(),
           ": allocate the state in init_state");
    }
    if (!before[i].is_same(after[i]) && obstacle_.empty()) {
      obstacle_ = "state[" + std::to_string(i) + "], which " + method + " replaces";
    }
  }
}

void StageTrial::check_values(const at::Tensor& returned, const char* method, const std::string& at) const {
  if (!at::isFloatingType(returned.scalar_type())) {
    fail(where, "stage '", stage_.name, "' must return a floating type from ", method, "; got ",
         returned.scalar_type());
  }
  if (!at::isfinite(returned).all().item<bool>()) {
    fail(where, "stage '", stage_.name, "' must return finite logits from ", method, "; got NaN or Inf at ", at,
         " of a few plain tokens");
  }
}

void StageTrial::check_module(const std::string& changed) const {
  if (!changed.empty()) {
    refuse("must keep nothing from one call to the next", changed + ", which a piece changes",
           "pass all that changes in the state");
  }
}

void StageTrial::check_second_piece(const at::Tensor& first, const at::Tensor& second, const char* methods) const {
  const double allowed = script_.device().is_cpu() ? 0 : 1e-5;
  if (!same_within(first, second, allowed)) {
    fail(where, "stage '", stage_.name, "' must say the same of a second piece as of a first, in ", methods,
         "; got other logits: begin from what init_state returns alone");
  }
}

double StageTrial::tolerance() const {
  constexpr double in_float32 = 1e-4;
  constexpr double roundings = 16;
  if (script_.dtype() == at::kChar) {
    // packed_linear() rounds what int8 weights are multiplied with to 1/32767 of a row's largest number: for numbers of
    // usual size that is some times more than a rounding.
    constexpr double of_largest = 1.0 / 32767;
    return 4 * roundings * of_largest;
  }
  switch (script_.working_dtype()) {
    case at::kHalf:
      return roundings * std::numeric_limits<c10::Half>::epsilon();
    case at::kBFloat16:
      return roundings * std::numeric_limits<c10::BFloat16>::epsilon();
    default:
      return in_float32;
  }
}

void StageTrial::refuse(const char* rule, const std::string& found, const char* advice) const {
  fail(where, "stage '", stage_.name, "' ", rule, "; got ", found, ": ", advice);
}

}  // namespace brain2music::models
