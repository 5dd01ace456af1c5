#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <ATen/record_function.h>
#include <c10/core/InferenceMode.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "brain2music/generation/step_graph.h"
#include "brain2music/models/script.h"
#include "brain2music/models/stage_check.h"
#include "catch.h"
#include "oracle.h"

using namespace brain2music::models;  // NOLINT(google-build-using-namespace)
using brain2music::generation::StepGraph;

namespace {

const std::vector<std::string> sequence_methods{"init_state", "extend"};
const std::vector<std::string> frame_methods{"init_state", "source", "temporal", "depth_first", "depth_next"};

std::unique_ptr<Script> network(const std::string& name, at::ScalarType dtype = at::kFloat,
                                Operations operations = Operations::own) {
  std::ifstream file(oracle_path("stages/" + name + ".pt"), std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::vector<std::string> methods = name.starts_with("frames") ? frame_methods : sequence_methods;
  return std::make_unique<Script>(bytes, methods, at::kCPU, dtype, "stage 'tiny' (tiny.pt)", operations);
}

Stage tiny(Family family = Family::tokens) {
  Stage stage;
  stage.name = "tiny";
  stage.family = family;
  stage.codes = family == Family::tokens ? std::vector<int64_t>{10} : std::vector<int64_t>{10, 6};
  stage.vocabulary = 10;
  stage.max_length = 16;
  return stage;
}

StageFacts checked(const std::string& name) { return check_stage(tiny(), *network(name), 0, {}); }

/// A stage of the family frames: two levels, and channels of every kind.
Stage framed() {
  Stage stage = tiny();
  stage.family = Family::frames;
  stage.codes = {9, 6};
  stage.max_length = std::numeric_limits<int64_t>::max();
  stage.channels.resize(4);
  stage.channels[0].from = "conditioner";
  stage.channels[1].count = 3;
  stage.channels[2].guidance = GuidanceCodes{-1, 0.5, 9};
  stage.channels[3].code = 2;
  stage.sampling.guidance = 3;
  return stage;
}

StageFacts checked_frames(const std::string& name) { return check_stage(framed(), *network(name), 0, {2}); }

/// How often this thread has called operations, by name.
class Calls {
 public:
  Calls() : handle_(at::addThreadLocalCallback(at::RecordFunctionCallback(&started))) { counts.clear(); }
  ~Calls() { at::removeCallback(handle_); }
  Calls(const Calls&) = delete;
  Calls& operator=(const Calls&) = delete;

  static int of(const std::string& name) { return counts[name]; }

 private:
  static std::unique_ptr<at::ObserverContext> started(const at::RecordFunction& function) {
    ++counts[function.name()];
    return nullptr;
  }

  static thread_local std::map<std::string, int> counts;
  at::CallbackHandle handle_;
};

thread_local std::map<std::string, int> Calls::counts;

at::Tensor at_position(int64_t position) { return at::full({}, position, at::TensorOptions().dtype(at::kLong)); }

}  // namespace

TEST_CASE("a stage says what torch says, at once and token by token", "[models]") {
  const at::Tensor tokens = oracle("stages/tokens");
  const at::Tensor condition = oracle("stages/condition");
  const at::Tensor logits = oracle("stages/logits");
  for (const Operations operations : {Operations::own, Operations::libtorch}) {
    const auto script = network("attention", at::kFloat, operations);
    CHECK(
        at::allclose(script->extend(tokens, at_position(0), script->init_state(2, 5, condition)), logits, 1e-5, 1e-4));
    const StageState state = script->init_state(2, 5, condition);
    std::vector<at::Tensor> steps;
    for (int64_t position = 0; position < 5; ++position) {
      steps.push_back(script->extend(tokens.narrow(1, position, 1), at_position(position), state));
    }
    CHECK(at::allclose(at::cat(steps, 1), logits, 1e-5, 1e-4));
  }
  CHECK(!network("attention")
             ->extend(tokens, at_position(0), network("attention")->init_state(2, 5, condition))
             .requires_grad());
}

TEST_CASE("products with constant weights are the library's where that is asked for, under conditions too",
          "[models]") {
  const at::Tensor tokens = oracle("stages/tokens");
  for (const std::string name : {"attention", "branches"}) {
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf, at::kChar}) {
      INFO(name << ", " << dtype);
      const auto script = network(name, dtype);
      const StageState state = script->init_state(2, 5, std::nullopt);
      CHECK(state.get(0).scalar_type() == at::kFloat);
      CHECK(script->unpacked().empty());
      const Calls calls;
      CHECK(script->extend(tokens, at_position(0), state).scalar_type() == at::kFloat);
      CHECK(Calls::of("brain2music::packed_linear") == 5);
      CHECK(Calls::of("aten::linear") == 0);
    }
    const auto script = network(name, at::kFloat, Operations::libtorch);
    const StageState state = script->init_state(2, 5, std::nullopt);
    const Calls calls;
    (void)script->extend(tokens, at_position(0), state);
    CHECK(Calls::of("brain2music::packed_linear") == 0);
    CHECK(Calls::of("aten::linear") == 3);
  }
  CHECK_THROWS_WITH(network("attention", at::kChar, Operations::libtorch),
                    Catch::Contains("runs in int8 on a CPU alone"));
}

TEST_CASE("packed weights say what they keep of the weights", "[models]") {
  const at::Tensor tokens = oracle("stages/tokens");
  const at::Tensor condition = oracle("stages/condition");
  const at::Tensor logits = oracle("stages/logits");
  const auto apart = [&](at::ScalarType dtype) {
    const auto script = network("attention", dtype);
    const at::Tensor found = script->extend(tokens, at_position(0), script->init_state(2, 5, condition));
    return ((found - logits).norm() / logits.norm()).item<double>();
  };
  CHECK(apart(at::kFloat) < 1e-6);
  CHECK((apart(at::kHalf) > 1e-6 && apart(at::kHalf) < 2e-3));
  CHECK((apart(at::kBFloat16) > 1e-4 && apart(at::kBFloat16) < 2e-2));
  CHECK((apart(at::kChar) > 1e-4 && apart(at::kChar) < 3e-2));
}

TEST_CASE("what init_state returns is shared with nothing", "[models]") {
  const c10::InferenceMode inference;
  const auto script = network("counts");
  const StageState first = script->init_state(2, 4, std::nullopt);
  const StageState second = script->init_state(2, 4, std::nullopt);
  for (const at::Tensor& one : first.vec()) {
    for (const at::Tensor& other : second.vec()) {
      CHECK(!one.is_alias_of(other));
    }
  }
  first.get(3).add_(1);  // depends on constants alone: the frozen network returns one tensor each time
  CHECK(second.get(3).item<float>() == 0);
  CHECK(script->init_state(2, 4, std::nullopt).get(3).item<float>() == 0);
}

TEST_CASE("good stages are told apart", "[models]") {
  const StageFacts attention = checked("attention");
  CHECK(attention.rows_independent);
  CHECK(attention.capturable);
  CHECK(attention.obstacle.empty());
  CHECK(checked("counts").capturable);
  CHECK(!checked("mixes_rows").rows_independent);
  CHECK(checked("reads_position").obstacle == "aten::item");
  CHECK(!checked("reads_position").capturable);
  CHECK(checked("reads_position").rows_independent);
  CHECK(checked("indexes_by_mask").obstacle == "aten::nonzero");
  CHECK(checked("replaces_state").obstacle == "state[0], which extend replaces");
}

TEST_CASE("stages of every kind pass", "[models]") {
  CHECK(check_stage(tiny(Family::parallel), *network("parallel"), 0, {3}).rows_independent);
  CHECK_NOTHROW(check_stage(tiny(), *network("attention", at::kBFloat16), 0, {}));
  Stage stage = tiny();
  stage.condition = StageCondition{};
  CHECK(check_stage(stage, *network("attention"), 5, {}).rows_independent);
  stage.condition->codes = true;
  CHECK(check_stage(stage, *network("attention"), 5, {}).rows_independent);
  stage.max_length = 1;
  CHECK_NOTHROW(check_stage(stage, *network("attention"), 5, {}));
}

TEST_CASE("bad stages are refused, with what is wrong", "[models]") {
  const std::map<std::string, std::string> messages{
      {"forgets", "must return from extend the logits of tokens at once when it is given them one by one"},
      {"ignores_position", "count from 'position'"},
      {"sees_the_future", "let no token see a later one"},
      {"short_logits",
       "must return shape [3, 4, 10] from extend, the batch, the tokens and field 'vocabulary'; got "
       "[3, 4, 9]"},
      {"whole_logits", "must return a floating type from extend; got Long"},
      {"no_numbers", "must return finite logits from extend; got NaN or Inf"},
      {"grows", "must keep shape and type of state[0] in extend, [3, 4, 8] Float; got [3, 8, 8] Float"},
      {"appends", "must keep the 4 tensors of its state in extend; got 5"},
      {"moves_position", "must leave tokens and position as they are in extend"},
      {"remembers", "must keep nothing from one call to the next; got pieces, which a piece changes"},
      {"fails", "must run extend; got 'RuntimeError: AssertionError: large batches only'"},
      {"no_list", "must return a list of tensors from init_state; got Tensor"},
      {"no_condition", "must run init_state; got '"},
  };
  for (const auto& [name, message] : messages) {
    INFO(name);
    CHECK_THROWS_WITH(checked(name), ContainsSubstring(message) && ContainsSubstring("[models.bundle] stage 'tiny'"));
  }
}

TEST_CASE("stages of the family frames are told apart", "[models]") {
  const StageFacts plain = checked_frames("frames");
  CHECK(plain.rows_independent);
  CHECK(plain.capturable);
  CHECK(!checked_frames("frames_mix_rows").rows_independent);
  CHECK(checked_frames("frames_read_position").obstacle == "aten::item");
  CHECK(checked_frames("frames_replace_state").obstacle == "state[1], which temporal replaces");
  CHECK_NOTHROW(check_stage(framed(), *network("frames", at::kBFloat16), 0, {2}));
  Stage stage = framed();
  stage.max_length = 1;
  CHECK(check_stage(stage, *network("frames"), 0, {2}).rows_independent);
  stage.codes = {9};
  CHECK(check_stage(stage, *network("frames"), 0, {2}).rows_independent);
}

TEST_CASE("bad stages of the family frames are refused, with what is wrong", "[models]") {
  const std::string levels = "whether the levels of the frame before were gone through or not";
  const std::map<std::string, std::string> messages{
      {"frames_add_sources", "must give the same logits whether source is called before every frame, twice, or once"},
      {"frames_return_a_source", "must return nothing from source; got Tensor"},
      {"frames_remember_levels", levels},
      {"frames_need_levels", levels},
      {"frames_remember", "must keep nothing from one call to the next; got pieces, which a piece changes"},
      {"frames_of_one_vector", "must return (batch, d) from temporal, 3 rows; got [8]"},
      {"frames_without_numbers", "must return finite logits from temporal; got NaN or Inf at frame 0"},
      {"frames_of_short_logits",
       "must return shape [3, 10] from depth_next, the batch and field 'vocabulary'; got "
       "[3, 9] at level 1"},
      {"frames_of_whole_logits", "must return a floating type from depth_first; got Long"},
      {"frames_change_inputs", "must leave its inputs as they are in temporal"},
      {"frames_grow", "must keep the 3 tensors of its state in depth_next; got 4"},
  };
  for (const auto& [name, message] : messages) {
    INFO(name);
    CHECK_THROWS_WITH(checked_frames(name),
                      ContainsSubstring(message) && ContainsSubstring("[models.bundle] stage 'tiny'"));
  }
}

TEST_CASE("guidance is told by the nearest code", "[models]") {
  const GuidanceCodes codes{-1, 0.2, 41};
  CHECK(codes.code(-1) == 0);
  CHECK(codes.code(3) == 20);
  CHECK(codes.code(3.05) == 20);
  CHECK(codes.code(3.15) == 21);
  CHECK(codes.code(7) == 40);
  CHECK(codes.code(7.01) == std::nullopt);
  CHECK(codes.code(-1.01) == std::nullopt);
  CHECK(codes.code(std::nan("")) == std::nullopt);
  CHECK(std::abs(codes.highest() - 7) < 1e-9);
}

TEST_CASE("whole numbers that a network holds stay whole in any type", "[models]") {
  const auto script = network("rows", at::kBFloat16, Operations::libtorch);
  const StageState state = script->init_state(2, 5, std::nullopt);
  CHECK(script->extend(oracle("stages/tokens"), at_position(0), state).scalar_type() == at::kBFloat16);
}

TEST_CASE("a step is made as often as it is asked for, on any device", "[generation]") {
  const c10::InferenceMode inference;
  for (const at::Device device : devices()) {
    const at::Tensor position = at::zeros({}, at::TensorOptions().dtype(at::kLong).device(device));
    const at::Tensor last = at::zeros({}, position.options());
    const StepGraph step(
        [&] {
          last.copy_(position * 2);
          position.add_(1);
        },
        device, {position});
    CHECK(step.captured() == device.is_cuda());
    CHECK(position.item<int64_t>() == 0);
    for (int64_t n = 1; n <= 5; ++n) {
      step();
      CHECK(position.item<int64_t>() == n);
      CHECK(last.item<int64_t>() == 2 * (n - 1));
    }
    const StepGraph called([&] { position.add_(1); }, device, {}, /*capture=*/false);
    called();
    CHECK(!called.captured());
    CHECK(position.item<int64_t>() == 6);
    CHECK_THROWS_AS(StepGraph([] { throw std::runtime_error("no step"); }, device, {})(), std::runtime_error);
  }
}
