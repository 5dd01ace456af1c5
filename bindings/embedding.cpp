#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "arrays.h"
#include "brain2music/embedding/embedder.h"
#include "brain2music/embedding/tagger.h"
#include "brain2music/embedding/windows.h"
#include "brain2music/models/bundle.h"

namespace brain2music::bindings {
namespace {

using Dtype = std::optional<at::ScalarType>;
using Clips = std::vector<std::tuple<std::string, py::object, int64_t>>;

/// Runs `network` on clips (name, waveform, rate) without the interpreter's lock.
template <class Network>
py::object on_clips(const Clips& clips, const char* where, const Network& network) {
  std::vector<embedding::Clip> music;
  music.reserve(clips.size());
  for (const auto& [name, waveform, rate] : clips) {
    music.push_back({name, ArrayArgument(waveform, where).tensor(), rate});
  }
  at::Tensor result;
  {
    const py::gil_scoped_release unlocked;
    result = network(music);
    music.clear();
  }
  return to_numpy(result);
}

void bind_embedder(py::module_& room) {
  const embedding::EmbedOptions options;
  py::class_<embedding::Embedder>(room, "Embedder", "A role that turns music, or texts, into embeddings.")
      .def(py::init<const models::Bundle&, const std::string&, at::Device, Dtype>(), py::arg("bundle"), py::arg("role"),
           py::arg("device"), py::arg("dtype") = py::none(), py::call_guard<py::gil_scoped_release>())
      .def(
          "embed",
          [](const embedding::Embedder& self, const Clips& clips, double hop, int64_t batch,
             std::optional<double> window) {
            return on_clips(clips, "embedding.embed",
                            [&](const auto& music) { return self.embed(music, {hop, batch, window}); });
          },
          py::arg("clips"), py::arg("hop") = options.hop, py::arg("batch") = options.batch,
          py::arg("window") = py::none(), "Embed clips (name, waveform, rate): (n, r, d).")
      .def(
          "embed_texts",
          [](const embedding::Embedder& self, const std::vector<std::string>& texts, int64_t batch) {
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
          [](const embedding::Embedder& self, const py::object& ids, const py::object& mask) {
            const ArrayArgument tokens(ids, "embedding.embed");
            const ArrayArgument counted(mask, "embedding.embed");
            at::Tensor result;
            {
              const py::gil_scoped_release unlocked;
              result = self.embed_ids(tokens.tensor(), counted.tensor());
            }
            return to_numpy(result);
          },
          py::arg("ids"), py::arg("mask"), "Embed the tokens of texts, (n, T) with a mask: (n, d).");
}

void bind_tagger(py::module_& room) {
  const embedding::EmbedOptions options;
  py::class_<embedding::Tagger>(room, "Tagger", "The role that gives the probabilities of classes.")
      .def(py::init<const models::Bundle&, at::Device, Dtype>(), py::arg("bundle"), py::arg("device"),
           py::arg("dtype") = py::none(), py::call_guard<py::gil_scoped_release>())
      .def(
          "tag",
          [](const embedding::Tagger& self, const Clips& clips, double hop, int64_t batch,
             std::optional<double> window) {
            return on_clips(clips, "embedding.tag",
                            [&](const auto& music) { return self.tag(music, {hop, batch, window}); });
          },
          py::arg("clips"), py::arg("hop") = options.hop, py::arg("batch") = options.batch,
          py::arg("window") = py::none(), "Tag clips (name, waveform, rate): (n, classes).");
}

}  // namespace

void bind_embedding(py::module_& core) {
  auto room = core.def_submodule("embedding", "Embeddings of music and of texts.");
  bind_embedder(room);
  bind_tagger(room);
  room.def("window_count", &embedding::window_count, py::arg("seconds"), py::arg("window"), py::arg("hop"),
           "How many windows fit into a clip.");
  room.def(
      "clip_windows",
      [](const py::object& waveform, int64_t from_rate, int64_t rate, double window, double hop) {
        const ArrayArgument argument(waveform, "embedding.clip_windows");
        return embedding::clip_windows({"the clip", argument.tensor(), from_rate}, {rate, window, hop});
      },
      py::arg("waveform"), py::arg("from_rate"), py::arg("rate"), py::arg("window"), py::arg("hop"),
      "Cut a waveform into windows (samples,).");
}

}  // namespace brain2music::bindings
