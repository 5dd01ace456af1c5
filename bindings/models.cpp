#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "arrays.h"
#include "brain2music/models/bundle.h"
#include "brain2music/models/embedder.h"
#include "brain2music/models/windows.h"

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
              (void)self.stage_script(role, device, dtype);
            } else {
              (void)self.script(role, device, dtype);
            }
          },
          py::arg("role"), py::arg("device"), py::arg("dtype") = py::none(), py::call_guard<py::gil_scoped_release>(),
          "Load the network of a role or a stage and try it on a tiny input.");
}

void bind_embedder(py::module_& room) {
  const models::EmbedOptions options;
  py::class_<models::Embedder>(room, "Embedder", "A role that turns music, or texts, into embeddings.")
      .def(py::init<const models::Bundle&, const std::string&, at::Device, Dtype>(), py::arg("bundle"), py::arg("role"),
           py::arg("device"), py::arg("dtype") = py::none(), py::call_guard<py::gil_scoped_release>())
      .def(
          "embed",
          [](const models::Embedder& self, const std::vector<std::tuple<std::string, py::object, int64_t>>& clips,
             double hop, int64_t batch) {
            std::vector<models::Clip> music;
            music.reserve(clips.size());
            for (const auto& [name, waveform, rate] : clips) {
              music.push_back({name, ArrayArgument(waveform, "models.embed").tensor(), rate});
            }
            at::Tensor result;
            {
              const py::gil_scoped_release unlocked;
              result = self.embed(music, {hop, batch});
              music.clear();
            }
            return to_numpy(result);
          },
          py::arg("clips"), py::arg("hop") = options.hop, py::arg("batch") = options.batch,
          "Embed clips (name, waveform, rate): (n, r, d).")
      .def(
          "embed_texts",
          [](const models::Embedder& self, const std::vector<std::string>& texts, int64_t batch) {
            at::Tensor result;
            {
              const py::gil_scoped_release unlocked;
              result = self.embed_texts(texts, batch);
            }
            return to_numpy(result);
          },
          py::arg("texts"), py::arg("batch") = options.batch, "Embed texts: (n, d).")
      .def(
          "embed_ids",
          [](const models::Embedder& self, const py::object& ids, const py::object& mask) {
            const ArrayArgument tokens(ids, "models.embed");
            const ArrayArgument counted(mask, "models.embed");
            at::Tensor result;
            {
              const py::gil_scoped_release unlocked;
              result = self.embed_ids(tokens.tensor(), counted.tensor());
            }
            return to_numpy(result);
          },
          py::arg("ids"), py::arg("mask"), "Embed the tokens of texts, (n, T) with a mask: (n, d).");
}

}  // namespace

void bind_models(py::module_& core) {
  auto room = core.def_submodule("models", "Trained networks.");
  bind_bundle(room);
  bind_embedder(room);
  room.def(
      "check_manifest", [](const std::filesystem::path& file) { (void)models::read_manifest(file); }, py::arg("file"),
      "Check that a bundle.json keeps to the schema; files that it names are not looked at.");
  room.def("window_count", &models::window_count, py::arg("seconds"), py::arg("window"), py::arg("hop"),
           "How many windows fit into a clip.");
  room.def(
      "clip_windows",
      [](const py::object& waveform, int64_t from_rate, int64_t rate, double window, double hop) {
        const ArrayArgument argument(waveform, "models.embed");
        return models::clip_windows({"the clip", argument.tensor(), from_rate}, {rate, window, hop});
      },
      py::arg("waveform"), py::arg("from_rate"), py::arg("rate"), py::arg("window"), py::arg("hop"),
      "Cut a waveform into windows (samples,).");
}

}  // namespace brain2music::bindings
