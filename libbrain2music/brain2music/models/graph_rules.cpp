#include "brain2music/models/graph_rules.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

#include "brain2music/check.h"
#include "brain2music/models/graph_walk.h"

namespace brain2music::models {
namespace {

constexpr auto where = "models.bundle";

using torch::jit::Node;
using torch::jit::Value;

/// An input of an operation, and what its schema calls it.
struct Input {
  const Value* value = nullptr;
  std::string name;

  explicit operator bool() const { return value != nullptr; }
};

/// The input that an operation's schema calls by one of these names, where there is one.
Input input_called(const Node& node, std::initializer_list<std::string_view> names) {
  const c10::FunctionSchema* schema = node.maybeSchema();
  if (schema == nullptr) {
    return {};
  }
  const auto& arguments = schema->arguments();
  for (std::size_t i = 0; i < std::min(arguments.size(), node.inputs().size()); ++i) {
    if (std::ranges::find(names, arguments[i].name()) != names.end()) {
      return {node.input(i), arguments[i].name()};
    }
  }
  return {};
}

/// An input in words, e.g. "with train=True"; "with train not constant" where only a call would tell.
std::string shown(const Input& input) {
  const std::optional<c10::IValue> constant = torch::jit::toIValue(input.value);
  if (!constant) {
    return " with " + input.name + " not constant";
  }
  std::ostringstream text;
  text << " with " << input.name << '=';
  if (constant->isBool()) {
    text << (constant->toBool() ? "True" : "False");
  } else {
    text << *constant;
  }
  return text.str();
}

/// The rules, for the nodes of one method.
class Rules {
 public:
  Rules(const std::string& named, const std::string& method) : named_(named), method_(method) {}

  void check(const Node& node) const {
    const std::string name = node.kind().toQualString();
    if (node.kind() == torch::jit::prim::SetAttr && node.s(torch::jit::attr::name) == "training") {
      refuse("must stay in evaluation mode", "an assignment to 'training'", "leave that to eval()");
    }
    const bool batch_norm = name.find("batch_norm") != std::string::npos;
    if (const Input training = input_called(node, {"training"}); batch_norm && training && !is_off(training)) {
      refuse(
          "must hold no batch norm in training mode, nor one without running statistics: a clip's embedding would "
          "depend on the clips beside it",
          name + shown(training), evaluated);
    }
    const Input statistics = input_called(node, {"use_input_stats"});
    const Input running = input_called(node, {"running_mean"});
    if (statistics && running && !running.value->mustBeNone() && !is_off(statistics)) {
      refuse("must hold no instance norm in training mode, where running statistics are given and not used",
             name + shown(statistics), evaluated);
    }
    if (is_random(node)) {
      check_chance(node, name);
    }
  }

 private:
  /// Whether a flag is surely False: a constant, or the `training` of a module, which was put in evaluation mode.
  static bool is_off(const Input& flag) {
    const std::optional<c10::IValue> constant = torch::jit::toIValue(flag.value);
    if (constant) {
      return constant->isBool() && !constant->toBool();
    }
    const Node& maker = *flag.value->node();
    return maker.kind() == torch::jit::prim::GetAttr && maker.s(torch::jit::attr::name) == "training";
  }

  static bool is_zero(const Input& share) {
    const std::optional<c10::IValue> constant = torch::jit::toIValue(share.value);
    return constant && constant->isScalar() && constant->toScalar().toDouble() == 0;
  }

  static bool is_random(const Node& node) {
    const c10::FunctionSchema* schema = node.maybeSchema();
    if (schema == nullptr) {
      return false;
    }
    const auto operation = c10::Dispatcher::singleton().findSchema(schema->operator_name());
    return operation && operation->hasTag(at::Tag::nondeterministic_seeded);
  }

  void check_chance(const Node& node, const std::string& name) const {
    const Input training = input_called(node, {"train", "training"});
    // The share that is dropped. Elsewhere "p" is another thing, such as a probability to draw.
    Input share = input_called(node, {"dropout", "dropout_p"});
    if (!share && training) {
      share = input_called(node, {"p"});
    }
    if ((training && is_off(training)) || (share && is_zero(share))) {
      return;
    }
    if (training || share) {
      refuse("must hold no dropout in training mode", name + shown(training ? training : share), evaluated);
    }
    refuse("must draw no random numbers", name, "give what is random as an input, or leave it out");
  }

  [[noreturn]] void refuse(const char* rule, const std::string& found, const char* advice) const {
    fail(where, named_, " ", rule, "; got ", found, " in ", method_, ": ", advice);
  }

  static constexpr auto evaluated = "call eval() before the network is traced or scripted, and export it again";

  const std::string& named_;
  const std::string& method_;
};

}  // namespace

void check_graphs(const torch::jit::Module& module, const std::vector<std::string>& methods, const std::string& named) {
  for (const std::string& method : methods) {
    const Rules rules(named, method);
    GraphWalk(module, [&](const Node* node) { rules.check(*node); }).through(method);
  }
}

}  // namespace brain2music::models
