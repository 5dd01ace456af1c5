#include <pybind11/functional.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "brain2music/generation/codec.h"
#include "brain2music/generation/frame_layout.h"
#include "brain2music/generation/generator.h"
#include "brain2music/generation/layout.h"

namespace brain2music::bindings {
namespace {

using generation::Codec;
using generation::GenerationOptions;
using generation::Music;
using generation::MusicGenerator;
using generation::MusicStream;
using generation::Sampling;

using Dtype = std::optional<at::ScalarType>;

/// What Python gives: {"seconds": ..., "sampling": {...}, "stages": {name: {...}}, ...}.
Sampling sampling_of(const py::dict& given) {
  Sampling sampling;
  const auto take = [&](const char* key, auto& value) {
    if (given.contains(key) && !given[key].is_none()) {
      value = given[key].cast<typename std::remove_reference_t<decltype(value)>::value_type>();
    }
  };
  take("temperature", sampling.temperature);
  take("top_k", sampling.top_k);
  take("top_p", sampling.top_p);
  take("guidance", sampling.guidance);
  return sampling;
}

GenerationOptions options_of(const py::dict& given) {
  GenerationOptions options;
  options.seconds = given["seconds"].cast<double>();
  options.samples = given["samples"].cast<int64_t>();
  options.seed = given["seed"].cast<int64_t>();
  options.window = given["window"].cast<double>();
  options.hop = given["hop"].cast<double>();
  options.unit_length = given["unit_length"].cast<bool>();
  options.memory_limit = given["memory_limit"].cast<std::optional<int64_t>>();
  options.sampling = sampling_of(given["sampling"].cast<py::dict>());
  for (const auto& [name, sampling] : given["stages"].cast<std::map<std::string, py::dict>>()) {
    options.stages[name] = sampling_of(sampling);
  }
  const py::object progress = given["progress"];
  options.on_progress = [progress](int64_t done, int64_t total) {
    const py::gil_scoped_acquire locked;
    if (PyErr_CheckSignals() != 0) {
      throw py::error_already_set();
    }
    if (!progress.is_none()) {
      progress(done, total);
    }
  };
  return options;
}

py::tuple generate(const MusicGenerator& self, const py::object& embedding, const py::dict& given) {
  const ArrayArgument argument(embedding, "generation.MusicGenerator.generate");
  const GenerationOptions options = options_of(given);
  Music music;
  {
    const py::gil_scoped_release unlocked;
    music = self.generate(argument.tensor(), options);
  }
  return py::make_tuple(argument.like_input(music.waveform), music.rate);
}

py::list spans_of(const std::vector<generation::StageWindow>& windows) {
  py::list spans;
  for (const auto& each : windows) {
    spans.append(py::make_tuple(each.first, each.fresh, each.end));
  }
  return spans;
}

/// One sequence of a manifest's stage, laid out: for tests and for people who write a manifest.
py::dict lay_out(const std::filesystem::path& manifest_file, const std::string& name, double seconds,
                 std::size_t window, const std::map<std::string, at::Tensor>& codes, const at::Tensor& before,
                 bool unconditional, double guidance) {
  const models::Manifest manifest = models::read_manifest(manifest_file);
  const auto found = std::ranges::find(manifest.stages, name, &models::Stage::name);
  std::map<std::string, generation::CodeSource> sources;
  for (const auto& [source, values] : codes) {
    const auto stage = std::ranges::find(manifest.stages, source, &models::Stage::name);
    sources[source] = {values, stage == manifest.stages.end() ? 0 : stage->frame_rate};
  }
  if (found == manifest.stages.end()) {
    throw py::key_error(name);
  }
  const auto windows = generation::stage_windows(*found, seconds);
  py::dict result;
  result["windows"] = spans_of(windows);
  if (found->family == models::Family::frames) {
    const auto plan = generation::plan_frames(*found, windows.at(window), sources, guidance, before);
    result["changes"] = plan.changes;
    result["channels"] = plan.channels;
    result["steps"] = generation::step_count(*found, windows.at(window));
    return result;
  }
  const auto plan = generation::plan_sequence(*found, windows.at(window), sources, before, unconditional);
  result["grid"] = plan.grid;
  result["known"] = plan.known;
  result["ranges"] = plan.ranges;
  result["lead"] = plan.lead;
  result["steps"] = generation::step_count(*found, windows.at(window));
  result["codes"] = generation::codes_in(plan, plan.grid, 0, plan.column_of.size(1));
  result["columns"] = plan.column_of;
  return result;
}

/// A stream, and the kind of array that its blocks are of.
struct Blocks {
  ArrayArgument embedding;
  MusicStream stream;
};

py::object next_block(Blocks& self) {
  std::optional<Music> music;
  {
    const py::gil_scoped_release unlocked;
    music = self.stream.next();
  }
  return music ? self.embedding.like_input(music->waveform) : py::none();
}

}  // namespace

void bind_generation(py::module_& core) {
  auto room = core.def_submodule("generation", "Music from embeddings.");
  py::class_<Codec>(room, "Codec", "A bundle's codec: sound to codes, and codes to sound.")
      .def(py::init<const models::Bundle&, at::Device, Dtype>(), py::arg("bundle"), py::arg("device"),
           py::arg("dtype") = py::none(), py::call_guard<py::gil_scoped_release>())
      .def(
          "encode",
          [](const Codec& self, const py::object& waveforms, int64_t rate) {
            return apply(waveforms, "generation.Codec.encode",
                         [&](const at::Tensor& sound) { return self.encode(sound, rate); });
          },
          py::arg("waveforms"), py::arg("rate"), "Codes (B, levels, frames) of sound (B, channels, samples).")
      .def(
          "decode",
          [](const Codec& self, const py::object& codes) {
            return apply(codes, "generation.Codec.decode", [&](const at::Tensor& given) { return self.decode(given); });
          },
          py::arg("codes"), "Sound (B, channels, samples) of codes (B, levels, frames).")
      .def(
          "decode_block",
          [](const Codec& self, const py::object& codes, int64_t from, int64_t to) {
            return apply(codes, "generation.Codec.decode_block",
                         [&](const at::Tensor& given) { return self.decode_block(given, from, to); });
          },
          py::arg("codes"), py::arg("start"), py::arg("stop"), "Sound of the frames from start to stop.")
      .def_property_readonly("samples_a_frame", &Codec::samples_a_frame);
  room.def("lay_out", &lay_out, py::arg("manifest"), py::arg("stage"), py::arg("seconds"), py::arg("window"),
           py::arg("codes"), py::arg("before"), py::arg("unconditional") = false, py::arg("guidance") = 1.0,
           "One sequence of a stage as the manifest lays it out: ids, what is known, what may be drawn; of the family "
           "frames the codes of its channels (changes, B, channels), and the frames at which they change.");
  py::class_<Blocks>(room, "Blocks", "Music that is made block by block.").def("next", &next_block);
  py::class_<MusicGenerator>(room, "MusicGenerator", "Stages and codec of a bundle.")
      .def(py::init<const models::Bundle&, at::Device, Dtype>(), py::arg("bundle"), py::arg("device"),
           py::arg("dtype") = py::none(), py::call_guard<py::gil_scoped_release>())
      .def("generate", &generate, py::arg("embedding"), py::arg("options"),
           "Music (q, samples, channels, time) of embeddings, and its rate.")
      .def(
          "stream",
          [](const MusicGenerator& self, const py::object& embedding, double block, const py::dict& given) {
            const ArrayArgument argument(embedding, "generation.MusicGenerator.stream");
            const GenerationOptions options = options_of(given);
            const py::gil_scoped_release unlocked;
            return Blocks{argument, self.stream(argument.tensor(), block, options)};
          },
          py::arg("embedding"), py::arg("block"), py::arg("options"), "The music of generate(), block by block.")
      .def("check_space", &MusicGenerator::check_space, py::arg("hash"))
      .def_property_readonly("rate", &MusicGenerator::rate)
      .def_property_readonly("dimension", &MusicGenerator::dimension);
}

}  // namespace brain2music::bindings
