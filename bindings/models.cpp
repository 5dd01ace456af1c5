#include <ATen/ops/full.h>
#include <ATen/ops/stack.h>
#include <c10/core/InferenceMode.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "arrays.h"
#include "brain2music/models/bundle.h"
#include "brain2music/models/script.h"

namespace brain2music::bindings {
namespace {

using Dtype = std::optional<at::ScalarType>;

void bind_bundle(py::module_& room) {
  py::class_<models::Bundle>(room, "Bundle", "Trained networks in a folder; loaded role by role.")
      .def(py::init(&models::Bundle::open), py::arg("folder"), py::arg("sha256") = py::none(),
           py::call_guard<py::gil_scoped_release>())
      .def_property_readonly("path", &models::Bundle::path)
      .def_property_readonly("hash", &models::Bundle::hash)
      .def_property_readonly(
          "manifest", [](const models::Bundle& self) { return self.manifest().text; }, "bundle.json, as it is.")
      .def(
          "tokenizer",
          [](const models::Bundle& self, const std::string& role) { return py::bytes(self.tokenizer(role)); },
          py::arg("role"), "The tokenizer.json of a role, as it is.")
      .def(
          "load",
          [](const models::Bundle& self, const std::string& role, at::Device device, Dtype dtype) {
            const auto& stages = self.manifest().stages;
            if (std::ranges::any_of(stages, [&](const models::Stage& stage) { return stage.name == role; })) {
              return self.stage_script(role, device, dtype)->unpacked();
            }
            (void)self.script(role, device, dtype);
            return std::vector<std::string>();
          },
          py::arg("role"), py::arg("device"), py::arg("dtype") = py::none(), py::call_guard<py::gil_scoped_release>(),
          "Load the network of a role or a stage and try it on a tiny input. Returns the products of a stage that stay "
          "LibTorch's, since their weights are no constants.")
      .def("release", &models::Bundle::release, py::arg("role"), "Let go of the loaded networks of a role or a stage.");
}

/// Logits of a stage of the family frames for codes that are given: for tests, and to see what a type of weights costs.
at::Tensor frame_logits(const models::Bundle& bundle, const std::string& name, const at::Tensor& channels,
                        const at::Tensor& codes, at::Device device, Dtype dtype) {
  const c10::InferenceMode inference;
  const models::Stage& about = bundle.stage(name);
  const auto script = bundle.stage_script(name, device, dtype);
  const at::Tensor told = channels.to(device);
  const at::Tensor given = codes.to(device);
  const models::StageState state = script->init_state(given.size(0), given.size(2), std::nullopt);
  at::Tensor previous = at::full({given.size(0), given.size(1)}, about.start, given.options());
  std::vector<at::Tensor> frames;
  for (int64_t frame = 0; frame < given.size(2); ++frame) {
    const at::Tensor position = at::full({}, frame, given.options());
    script->source(told.select(2, frame).contiguous(), position, state);
    const at::Tensor now = given.select(2, frame).contiguous();
    std::vector<at::Tensor> levels{script->depth_first(script->temporal(previous, position, state), state)};
    for (int64_t level = 1; level < given.size(1); ++level) {
      levels.push_back(script->depth_next(now.select(1, level - 1).contiguous(), level, state));
    }
    frames.push_back(at::stack(levels, 1).to(at::kFloat));
    previous = now;
  }
  return at::stack(frames, 1);
}

}  // namespace

void bind_models(py::module_& core) {
  auto room = core.def_submodule("models", "Trained networks.");
  bind_bundle(room);
  room.def("frame_logits", &frame_logits, py::arg("bundle"), py::arg("stage"), py::arg("channels"), py::arg("codes"),
           py::arg("device"), py::arg("dtype") = py::none(), py::call_guard<py::gil_scoped_release>(),
           "Logits (B, frames, levels, V) of codes (B, levels, frames) that are given, of a stage of the family frames "
           "whose channels have the codes (B, channels, frames).");
  room.def(
      "check_manifest", [](const std::filesystem::path& file) { (void)models::read_manifest(file); }, py::arg("file"),
      "Check that a bundle.json keeps to the schema; files that it names are not looked at.");
}

}  // namespace brain2music::bindings
