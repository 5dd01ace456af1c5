#pragma once

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>

#include <functional>
#include <set>
#include <string>
#include <utility>

namespace brain2music::models {

/// Visits the nodes of a network's methods, each once, with those of blocks, of the graphs that nodes carry, and of the
/// functions and methods that freezing has left as calls.
class GraphWalk {
 public:
  /// @param module whose methods may be called through an interface.
  /// @param visit  is called with each node, which it may destroy.
  GraphWalk(const torch::jit::Module& module, std::function<void(torch::jit::Node*)> visit)
      : module_(module), visit_(std::move(visit)) {}

  // NOLINTBEGIN(misc-no-recursion): graphs are as deep as the network's own functions and blocks

  /// Visits the nodes of a method.
  void through(const std::string& method) { through(*module_.get_method(method).graph()); }

 private:
  void through(torch::jit::Graph& graph) {
    if (seen_.insert(&graph).second) {
      through(*graph.block());
    }
  }

  void through(torch::jit::Block& block) {
    for (auto next = block.nodes().begin(); next != block.nodes().end();) {
      torch::jit::Node* const node = *next++;
      follow(*node);
      for (torch::jit::Block* inner : node->blocks()) {
        through(*inner);
      }
      visit_(node);
    }
  }

  void follow(torch::jit::Node& node) {
    if (node.hasAttribute(torch::jit::attr::Subgraph)) {
      through(*node.g(torch::jit::attr::Subgraph));
    }
    if (node.kind() == torch::jit::prim::CallFunction) {
      if (const auto type = node.input(0)->type()->cast<c10::FunctionType>()) {
        through(type->function());
      }
    } else if (node.kind() == torch::jit::prim::CallMethod) {
      const std::string& name = node.s(torch::jit::attr::name);
      if (const auto type = node.input(0)->type()->cast<c10::ClassType>()) {
        through(type->findMethod(name));
        return;
      }
      for (const torch::jit::Module& inner : module_.modules()) {  // an interface, which any of them may fill
        through(inner.type()->findMethod(name));
      }
    }
  }

  void through(torch::jit::Function* function) {
    auto* const scripted = function == nullptr ? nullptr : torch::jit::tryToGraphFunction(*function);
    if (scripted != nullptr) {
      through(*scripted->graph());
    }
  }
  // NOLINTEND(misc-no-recursion)

  const torch::jit::Module& module_;
  std::function<void(torch::jit::Node*)> visit_;
  std::set<const torch::jit::Graph*> seen_;
};

}  // namespace brain2music::models
