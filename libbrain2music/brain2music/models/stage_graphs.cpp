#include "brain2music/models/stage_graphs.h"

#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>

#include <map>
#include <optional>
#include <string_view>

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

/// Writes row_linear in place of other products.
class Products {
 public:
  void replace(Node* node) {
    const std::string_view name = node->kind().toQualString();
    if (name == "aten::linear") {
      put(node, node->input(0), node->input(1), node->input(2));
    } else if (name == "aten::matmul" || name == "aten::mm") {
      if (Value* weight = transposed(node, node->input(1))) {
        const torch::jit::WithInsertPoint before(node);
        put(node, node->input(0), weight, node->owningGraph()->insertConstant(c10::IValue()));
      }
    } else if (name == "aten::addmm" && is_one(node->input(3)) && is_one(node->input(4))) {
      const auto bias = constant_tensor(node->input(0));
      const auto matrix = constant_tensor(node->input(2));
      if (!bias || bias->dim() != 1 || !matrix || matrix->dim() != 2 || bias->size(0) != matrix->size(1)) {
        return;
      }
      if (Value* weight = transposed(node, node->input(2))) {
        put(node, node->input(1), weight, node->input(0));
      }
    }
  }

 private:
  /// A constant (outputs, features) for a constant matrix (features, outputs); null for anything else.
  Value* transposed(Node* node, const Value* value) {
    const auto matrix = constant_tensor(value);
    if (!matrix || matrix->dim() != 2 || matrix->layout() != at::kStrided) {
      return nullptr;
    }
    const auto [made, is_new] = transposes_.try_emplace(matrix->unsafeGetTensorImpl());
    if (is_new) {
      made->second = {*matrix, matrix->t().contiguous()};
    }
    const torch::jit::WithInsertPoint before(node);
    return node->owningGraph()->insertConstant(made->second.turned);
  }

  static void put(Node* node, Value* x, Value* weight, Value* bias) {
    static const auto row_linear = c10::Symbol::fromQualString("brain2music::row_linear");
    Node* const made = node->owningGraph()->create(row_linear, {x, weight, bias})->insertBefore(node);
    made->output()->copyMetadata(node->output());
    made->setSourceRange(node->sourceRange());
    node->output()->replaceAllUsesWith(made->output());
    node->destroy();
  }

  struct Pair {
    at::Tensor matrix;  // held, so that no other tensor takes its address
    at::Tensor turned;
  };
  std::map<const void*, Pair> transposes_;
};

}  // namespace

void use_row_linear(const torch::jit::Module& module, const std::vector<std::string>& methods) {
  Products products;
  GraphWalk walk(module, [&](Node* node) { products.replace(node); });
  for (const std::string& method : methods) {
    walk.through(method);
    torch::jit::EliminateDeadCode(module.get_method(method).graph());  // the matrices that were transposed
  }
}

}  // namespace brain2music::models
