#include "brain2music/models/script.h"

#include <c10/core/InferenceMode.h>
#include <caffe2/serialize/read_adapter_interface.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/passes/frozen_graph_optimizations.h>
#include <torch/csrc/jit/serialization/import.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "brain2music/check.h"

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

/// What torch says, without its traces of C++ and, of a TorchScript traceback, its last line: the error itself.
std::string words_of(const std::exception& error) {
  const auto* const ours = dynamic_cast<const c10::Error*>(&error);
  std::string text = ours != nullptr ? ours->what_without_backtrace() : error.what();
  while (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  constexpr std::string_view traceback = "Traceback of TorchScript";
  if (text.find(traceback) != std::string::npos) {
    text = text.substr(text.rfind('\n') + 1);
  }
  return text;
}

}  // namespace

Script::Script(std::string_view bytes, const std::vector<std::string>& methods, at::Device device, at::ScalarType dtype,
               std::string named)
    : device_(device), named_(std::move(named)) {
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
  try {
    module.eval();
    module.to(device, dtype);
    module_ = std::make_unique<torch::jit::Module>(torch::jit::freeze_module(module, methods));
    for (const std::string& method : methods) {
      auto graph = module_->get_method(method).graph();
      torch::jit::OptimizeFrozenGraph(graph);
    }
  } catch (const std::exception& error) {
    fail(where, named_, " must go to ", device.str(), " in ", dtype, "; got '", words_of(error), "'");
  }
}

Script::~Script() = default;

template <class Arguments>
at::Tensor Script::run(const char* method, const Arguments& arguments) const {
  const c10::InferenceMode inference;
  c10::IValue result;
  try {
    result = module_->get_method(method)(arguments);
  } catch (const std::exception& error) {
    fail(where, named_, " must run ", method, "; got '", words_of(error), "'");
  }
  if (!result.isTensor()) {
    fail(where, named_, " must return one tensor from ", method, "; got ", result.tagKind());
  }
  return result.toTensor();
}

at::Tensor Script::call(const char* method, const std::vector<at::Tensor>& arguments) const {
  return run(method, std::vector<c10::IValue>(arguments.begin(), arguments.end()));
}

at::Tensor Script::call(const char* method, const std::vector<std::string>& texts) const {
  return run(method, std::vector<c10::IValue>{c10::IValue(texts)});
}

}  // namespace brain2music::models
