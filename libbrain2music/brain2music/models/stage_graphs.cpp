#include "brain2music/models/stage_graphs.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "brain2music/linalg/packed_weights.h"
#include "brain2music/models/graph_walk.h"

namespace brain2music::models {
namespace {

using torch::jit::Node;
using torch::jit::Value;

/// The tensor that a value is, where it is a constant.
std::optional<at::Tensor> constant_tensor(const Value* value) {
  const std::optional<c10::IValue> constant = torch::jit::toIValue(value);
  return constant && constant->isTensor() ? std::optional(constant->toTensor()) : std::nullopt;
}

bool is_one(const Value* value) {
  const std::optional<c10::IValue> constant = torch::jit::toIValue(value);
  return constant && constant->isScalar() && constant->toScalar().equal(1);
}

/// Where a node stands in the network's source, e.g. "aten::linear (model.py:12)".
std::string place_of(const Node& node) {
  const std::string name = node.kind().toQualString();
  const auto place = node.sourceRange().file_line_col();
  return place ? name + " (" + std::get<0>(*place) + ":" + std::to_string(std::get<1>(*place)) + ")" : name;
}

/// Writes the library's operations in place of LibTorch's.
class OwnOperations {
 public:
  explicit OwnOperations(at::ScalarType dtype) : dtype_(dtype) {}

  void replace(Node* node) {
    const std::string_view name = node->kind().toQualString();
    if (name == "aten::linear") {
      const auto weights = constant_matrix(node->input(1));
      put_product(node, weights, /*transposed=*/false, node->input(2));
    } else if (name == "aten::matmul" || name == "aten::mm") {
      if (const auto weights = constant_matrix(node->input(1))) {
        put_product(node, weights, /*transposed=*/true, nullptr);
      }
    } else if (name == "aten::addmm" && is_one(node->input(3)) && is_one(node->input(4))) {
      const auto bias = constant_tensor(node->input(0));
      const auto weights = constant_matrix(node->input(2));
      const bool added_to_rows = bias && weights && bias->dim() == 1 && bias->size(0) == weights->size(1);
      put_product(node, added_to_rows ? weights : std::nullopt, /*transposed=*/true, node->input(0));
    } else if (name == "aten::scaled_dot_product_attention") {
      static const auto attend = c10::Symbol::fromQualString("brain2music::attend");
      put(node, attend, {node->inputs().begin(), node->inputs().end()});
    } else if (name == "aten::rms_norm") {
      static const auto rms_norm = c10::Symbol::fromQualString("brain2music::rms_norm");
      put(node, rms_norm, {node->inputs().begin(), node->inputs().end()});
    }
  }

  std::vector<std::string> left() && { return std::move(left_); }

 private:
  struct Packed {
    at::Tensor matrix;  // held, so that no other tensor takes its address
    linalg::PackedWeights weights;
  };

  /// The matrix that a value is, where it is a constant of a type that can be packed.
  static std::optional<at::Tensor> constant_matrix(const Value* value) {
    auto matrix = constant_tensor(value);
    const bool fits = matrix && matrix->dim() == 2 && matrix->layout() == at::kStrided && matrix->is_cpu() &&
                      matrix->scalar_type() == at::kFloat && matrix->numel() > 0;
    return fits ? matrix : std::nullopt;
  }

  const linalg::PackedWeights& packed(const at::Tensor& matrix, bool transposed) {
    const auto [made, is_new] = packed_.try_emplace({matrix.unsafeGetTensorImpl(), transposed});
    if (is_new) {
      made->second = {matrix, linalg::pack(transposed ? matrix.t() : matrix, dtype_)};
    }
    return made->second.weights;
  }

  /// @param bias null for none
  void put_product(Node* node, const std::optional<at::Tensor>& matrix, bool transposed, Value* bias) {
    if (!matrix) {
      left_.push_back(place_of(*node));
      return;
    }
    static const auto packed_linear = c10::Symbol::fromQualString("brain2music::packed_linear");
    const linalg::PackedWeights& weights = packed(*matrix, transposed);
    std::vector<Value*> inputs{node->input(node->kind() == c10::aten::addmm ? 1 : 0)};
    {
      const torch::jit::WithInsertPoint before(node);
      torch::jit::Graph& graph = *node->owningGraph();
      inputs.push_back(graph.insertConstant(weights.values));
      inputs.push_back(graph.insertConstant(weights.scale ? c10::IValue(*weights.scale) : c10::IValue()));
      inputs.push_back(bias != nullptr ? bias : graph.insertConstant(c10::IValue()));
      inputs.push_back(graph.insertConstant(matrix->size(transposed ? 1 : 0)));
    }
    put(node, packed_linear, inputs);
  }

  static void put(Node* node, c10::Symbol operation, const std::vector<Value*>& inputs) {
    Node* const made = node->owningGraph()->create(operation, inputs)->insertBefore(node);
    made->output()->copyMetadata(node->output());
    made->copyMetadata(node);
    node->output()->replaceAllUsesWith(made->output());
    node->destroy();
  }

  at::ScalarType dtype_;
  std::map<std::pair<const void*, bool>, Packed> packed_;
  std::vector<std::string> left_;
};

}  // namespace

std::vector<std::string> use_own_operations(const torch::jit::Module& module, const std::vector<std::string>& methods,
                                            at::ScalarType dtype) {
  OwnOperations operations(dtype);
  GraphWalk walk(module, [&](Node* node) { operations.replace(node); });
  for (const std::string& method : methods) {
    // A matrix may be a product of constants, such as whole numbers and their scales: freezing leaves it as it is.
    std::shared_ptr<torch::jit::Graph> graph = module.get_method(method).graph();
    torch::jit::ConstantPropagation(graph);
    walk.through(method);
    torch::jit::EliminateDeadCode(graph);  // the matrices that were packed
  }
  return std::move(operations).left();
}

}  // namespace brain2music::models
