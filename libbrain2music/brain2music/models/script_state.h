#pragma once

#include <ATen/core/ivalue.h>

#include <string>
#include <utility>
#include <vector>

namespace torch::jit {
struct Module;
}

namespace brain2music::models {

/// A copy of what calls could change in a frozen module: the attributes that freezing could not make constants.
class ModuleState {
 public:
  explicit ModuleState(const torch::jit::Module& module);

  /// The name of the first attribute that is no longer what it was, e.g. "encoder.cache"; empty when all are.
  std::string changed_in(const torch::jit::Module& module) const;

 private:
  std::vector<std::pair<std::string, c10::IValue>> values_;
};

/// Whether two tensors of one shape and type agree: in all bytes for `tolerance` 0, else within `tolerance` times the
/// largest magnitude, or times 1 where that is larger.
bool same_within(const at::Tensor& a, const at::Tensor& b, double tolerance);

}  // namespace brain2music::models
