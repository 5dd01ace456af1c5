#include <pybind11/stl/filesystem.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "arrays.h"
#include "brain2music/io/audio_file.h"
#include "brain2music/io/npy.h"
#include "brain2music/io/safetensors.h"

namespace brain2music::bindings {

void bind_io(py::module_& core) {
  auto io = core.def_submodule("io", "Files.");
  io.def(
      "load_npy", [](const std::filesystem::path& path) { return to_numpy(brain2music::io::load_npy(path)); },
      py::arg("path"), "Map a .npy file into memory.");
  io.def(
      "save_npy",
      [](const std::filesystem::path& path, const py::object& array) {
        const ArrayArgument argument(array, "io.save_npy");
        const py::gil_scoped_release unlocked;
        brain2music::io::save_npy(path, argument.tensor());
      },
      py::arg("path"), py::arg("array"), "Write an array as a .npy file, whole or not at all.");
  io.def(
      "load_safetensors",
      [](const std::filesystem::path& path) {
        auto contents = brain2music::io::load_safetensors(path);
        return py::make_tuple(std::move(contents.tensors), std::move(contents.metadata));
      },
      py::arg("path"), "Map a .safetensors file into memory: (torch tensors by name, metadata).");
  io.def(
      "save_safetensors",
      [](const std::filesystem::path& path, const std::map<std::string, py::object>& arrays,
         std::map<std::string, std::string> metadata) {
        brain2music::io::SafeTensors contents{{}, std::move(metadata)};
        for (const auto& [name, array] : arrays) {
          contents.tensors.emplace(name, ArrayArgument(array, "io.save_safetensors").tensor());
        }
        const py::gil_scoped_release unlocked;
        brain2music::io::save_safetensors(path, contents);
      },
      py::arg("path"), py::arg("arrays"), py::arg("metadata") = std::map<std::string, std::string>{},
      "Write arrays by name as a .safetensors file, whole or not at all.");
  io.def(
      "load_audio",
      [](const std::filesystem::path& path, double start, std::optional<double> stop) {
        brain2music::io::Audio audio;
        {
          const py::gil_scoped_release unlocked;
          audio = brain2music::io::load_audio(path, {start, stop});
        }
        return py::make_tuple(to_numpy(audio.waveform), audio.rate);
      },
      py::arg("path"), py::arg("start") = 0.0, py::arg("stop") = py::none(),
      "Read an audio file, or a span of it in seconds: (waveform (channels, samples), rate).");
  io.def(
      "load_audio_step",
      [](const std::filesystem::path& path, double start, std::optional<double> stop) {
        brain2music::io::Audio audio;
        {
          const py::gil_scoped_release unlocked;
          audio = brain2music::io::load_audio(path, {start, stop});
        }
        return py::make_tuple(to_numpy(audio.waveform), audio.rate, audio.step);
      },
      py::arg("path"), py::arg("start") = 0.0, py::arg("stop") = py::none(),
      "Read as load_audio does: (waveform (channels, samples), rate, smallest step between values of the file).");
  io.def(
      "save_audio",
      [](const std::filesystem::path& path, const py::object& waveform, int64_t rate) {
        const ArrayArgument argument(waveform, "io.save_audio");
        const py::gil_scoped_release unlocked;
        brain2music::io::save_audio(path, argument.tensor(), rate);
      },
      py::arg("path"), py::arg("waveform"), py::arg("rate"),
      "Write (channels, samples) as 16-bit WAV or FLAC, by the ending.");
  io.def("sndfile_version", &brain2music::io::sndfile_version, "Version of libsndfile.");
}

}  // namespace brain2music::bindings
