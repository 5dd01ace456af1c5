#include "brain2music/models/script.h"

#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <caffe2/serialize/read_adapter_interface.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/passes/frozen_graph_optimizations.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "brain2music/check.h"
#include "brain2music/linalg/crew.h"
#include "brain2music/models/graph_rules.h"
#include "brain2music/models/manifest.h"
#include "brain2music/models/script_state.h"
#include "brain2music/models/stage_graphs.h"

namespace brain2music::models {
namespace {

constexpr auto where = "models.bundle";

/// Lets torch read the very bytes whose hash was checked.
class Bytes final : public caffe2::serialize::ReadAdapterInterface {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}

  size_t size() const override { return bytes_.size(); }

  size_t read(uint64_t pos, void* buffer, size_t n, const char* /*what*/) const override {
    const std::size_t count = pos < bytes_.size() ? std::min(n, bytes_.size() - pos) : 0;
    std::memcpy(buffer, bytes_.data() + pos, count);
    return count;
  }

 private:
  std::string_view bytes_;
};

/// The line of what torch says that names the error: the last of a TorchScript traceback, else the first.
std::string words_of(const std::exception& error) {
  const auto* const theirs = dynamic_cast<const c10::Error*>(&error);
  std::string text = theirs != nullptr ? theirs->what_without_backtrace() : error.what();
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  const bool traceback = text.find("Traceback of TorchScript") != std::string::npos;
  return traceback ? text.substr(text.rfind('\n') + 1) : text.substr(0, text.find('\n'));
}

/// How far two answers to one input may lie apart: rounding that CUDA adds up in no fixed order.
double allowed(const at::Tensor& answer) {
  if (answer.is_cpu() || !at::isFloatingType(answer.scalar_type())) {
    return 0;
  }
  constexpr double of_float32 = 1e-5;
  switch (answer.scalar_type()) {
    case at::kHalf:
      return std::numeric_limits<c10::Half>::epsilon();
    case at::kBFloat16:
      return std::numeric_limits<c10::BFloat16>::epsilon();
    default:
      return of_float32;
  }
}

/// The type that a tensor of a network gets: floating-point numbers and int8, in which a file may keep weights, are
/// weights; all others are numbers that stay whole, where Module::to() would make weights of them, too.
at::ScalarType type_of(const at::Tensor& tensor, at::ScalarType dtype) {
  const at::ScalarType own = tensor.scalar_type();
  return at::isFloatingType(own) || own == at::kChar ? dtype : own;
}

/// Moves weights and buffers, one after another.
void move(const torch::jit::Module& module, at::Device device, at::ScalarType dtype) {
  const auto each = [&](const at::Tensor& tensor) { tensor.set_data(tensor.to(device, type_of(tensor, dtype))); };
  for (const at::Tensor& weight : module.parameters()) {
    each(weight);
  }
  for (const at::Tensor& buffer : module.buffers()) {
    each(buffer);
  }
}

}  // namespace

Script::Script(std::string_view bytes, const std::vector<std::string>& methods, at::Device device, at::ScalarType dtype,
               std::string named, Operations operations)
    : device_(device), dtype_(dtype), working_dtype_(dtype), named_(std::move(named)) {
  const c10::InferenceMode inference;
  torch::jit::Module module = [&] {
    try {
      return torch::jit::load(std::make_shared<Bytes>(bytes), at::kCPU, /*load_debug_files=*/false);
    } catch (const std::exception& error) {
      fail(where, "the file of ", named_, " must be a TorchScript module; got '", words_of(error), "'");
    }
  }();
  for (const std::string& method : methods) {
    if (!module.find_method(method)) {
      std::string found;
      for (const auto& each : module.get_methods()) {
        found += (found.empty() ? "" : ", ") + each.name();
      }
      fail(where, named_, " declares the method ", method, ", which its file must have; got ",
           found.empty() ? "no methods" : found);
    }
  }
  own_ = operations == Operations::own && device.is_cpu();
  if (own_) {
    working_dtype_ = at::kFloat;
  } else if (!at::isFloatingType(dtype)) {
    fail(where, named_, " runs in ", dtype_name(dtype), " on a CPU alone; got ", device.str());
  }
  try {
    module.eval();
    move(module, device, working_dtype_);
    module_ = std::make_unique<torch::jit::Module>(torch::jit::freeze_module(module, methods));
  } catch (const std::exception& error) {
    fail(where, named_, " must go to ", device.str(), " in ", dtype_name(dtype), "; got '", words_of(error), "'");
  }
  check_graphs(*module_, methods, named_);
  try {
    for (const std::string& method : methods) {
      auto graph = module_->get_method(method).graph();
      torch::jit::OptimizeFrozenGraph(graph);
    }
    if (own_) {
      unpacked_ = use_own_operations(*module_, methods, dtype);
    }
  } catch (const std::exception& error) {
    fail(where, named_, " must go to ", device.str(), " in ", dtype_name(dtype), "; got '", words_of(error), "'");
  }
}

Script::~Script() = default;

c10::IValue Script::result(const char* method, std::vector<c10::IValue> arguments) const {
  const c10::InferenceMode inference;
  std::optional<linalg::CrewOnly> crew;
  if (own_) {
    crew.emplace();
  }
  try {
    return module_->get_method(method)(std::move(arguments));
  } catch (const std::exception& error) {
    throw ScriptError(error_message(where, named_, " must run ", method, "; got '", words_of(error), "'"));
  }
}

at::Tensor Script::run(const char* method, std::vector<c10::IValue> arguments) const {
  c10::IValue returned = result(method, std::move(arguments));
  if (!returned.isTensor()) {
    fail(where, named_, " must return one tensor from ", method, "; got ", returned.tagKind());
  }
  return std::move(returned).toTensor();
}

at::Tensor Script::call(const char* method, const std::vector<at::Tensor>& arguments) const {
  return run(method, {arguments.begin(), arguments.end()});
}

at::Tensor Script::call(const char* method, const std::vector<std::string>& texts) const {
  return run(method, {c10::IValue(texts)});
}

StageState Script::init_state(int64_t batch, int64_t length, const std::optional<at::Tensor>& condition) const {
  const torch::jit::GraphOptimizerEnabledGuard as_it_is(false);
  const c10::IValue returned = result("init_state", {batch, length, condition});
  if (!returned.isTensorList()) {
    fail(where, named_, " must return a list of tensors from init_state; got ", returned.tagKind());
  }
  const c10::InferenceMode inference;
  StageState state;
  for (const at::Tensor& tensor : returned.toTensorVector()) {
    state.push_back(tensor.clone());
  }
  return state;
}

at::Tensor Script::extend(const at::Tensor& tokens, const at::Tensor& position, const StageState& state) const {
  const torch::jit::GraphOptimizerEnabledGuard as_it_is(false);
  return run("extend", {tokens, position, state});
}

void Script::source(const at::Tensor& codes, const at::Tensor& position, const StageState& state) const {
  const torch::jit::GraphOptimizerEnabledGuard as_it_is(false);
  const c10::IValue returned = result("source", {codes, position, state});
  if (!returned.isNone()) {
    fail(where, named_, " must return nothing from source; got ", returned.tagKind());
  }
}

at::Tensor Script::temporal(const at::Tensor& previous, const at::Tensor& position, const StageState& state) const {
  const torch::jit::GraphOptimizerEnabledGuard as_it_is(false);
  return run("temporal", {previous, position, state});
}

at::Tensor Script::depth_first(const at::Tensor& h, const StageState& state) const {
  const torch::jit::GraphOptimizerEnabledGuard as_it_is(false);
  return run("depth_first", {h, state});
}

at::Tensor Script::depth_next(const at::Tensor& code, int64_t level, const StageState& state) const {
  const torch::jit::GraphOptimizerEnabledGuard as_it_is(false);
  return run("depth_next", {code, level, state});
}

std::string Script::changed_by(const std::function<void()>& calls) const {
  const ModuleState held(*module_);
  calls();
  return held.changed_in(*module_);
}

at::Tensor Script::call_twice(const char* method, const std::vector<at::Tensor>& arguments) const {
  return compared(method, [&] {
    std::vector<at::Tensor> own;  // a network may write over its input
    own.reserve(arguments.size());
    for (const at::Tensor& argument : arguments) {
      own.push_back(argument.clone());
    }
    return call(method, own);
  });
}

at::Tensor Script::call_twice(const char* method, const std::vector<std::string>& texts) const {
  return compared(method, [&] { return call(method, texts); });
}

at::Tensor Script::compared(const char* method, const std::function<at::Tensor()>& one_call) const {
  at::Tensor first = one_call().clone();  // it may be memory that the module holds
  at::Tensor second;
  const std::string changed = changed_by([&] { second = one_call(); });
  const std::string kept = changed.empty() ? "" : ", and changes what it holds (" + changed + ")";
  if (first.sizes() != second.sizes() || first.scalar_type() != second.scalar_type()) {
    fail(where, named_, " must say the same twice; got ", first.sizes(), ", then ", second.sizes(), " from ", method,
         " for one input", kept, ": pass state in and out, and export it in evaluation mode");
  }
  if (!same_within(first, second, allowed(first))) {
    const auto apart = (first.to(at::kDouble) - second.to(at::kDouble)).abs().max().item<double>();
    fail(where, named_, " must say the same twice; got answers ", apart, " apart from ", method, " for one input", kept,
         ": export it in evaluation mode, without noise of its own, and pass state in and out");
  }
  if (!changed.empty()) {
    fail(where, named_, " must keep nothing from one call to the next; got ", changed, ", which ", method,
         " changes at every call: pass state in and out");
  }
  return first;
}

}  // namespace brain2music::models
