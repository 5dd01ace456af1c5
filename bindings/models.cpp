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
          "LibTorch's, since their weights are no constants.");
}

}  // namespace

void bind_models(py::module_& core) {
  auto room = core.def_submodule("models", "Trained networks.");
  bind_bundle(room);
  room.def(
      "check_manifest", [](const std::filesystem::path& file) { (void)models::read_manifest(file); }, py::arg("file"),
      "Check that a bundle.json keeps to the schema; files that it names are not looked at.");
}

}  // namespace brain2music::bindings
