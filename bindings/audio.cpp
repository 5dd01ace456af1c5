#include <cstdint>

#include "arrays.h"
#include "brain2music/audio/log_mel.h"
#include "brain2music/audio/resample.h"

namespace brain2music::bindings {

void bind_audio(py::module_& core) {
  auto room = core.def_submodule("audio", "Waveforms.");
  const audio::ResampleOptions filter;
  room.def(
      "resample",
      [](const py::object& waveform, int64_t from_rate, int64_t to_rate, int64_t zero_crossings, double rolloff,
         double beta) {
        const audio::ResampleOptions options{zero_crossings, rolloff, beta};
        return apply(waveform, "audio.resample",
                     [&](const at::Tensor& in) { return audio::resample(in, from_rate, to_rate, options); });
      },
      py::arg("waveform"), py::arg("from_rate"), py::arg("to_rate"), py::arg("zero_crossings") = filter.zero_crossings,
      py::arg("rolloff") = filter.rolloff, py::arg("beta") = filter.beta,
      "Resample (..., samples) from one rate in Hz to another.");
  const audio::LogMelOptions mel;
  room.def(
      "log_mel",
      [](const py::object& waveform, int64_t rate, int64_t n_fft, int64_t hop, int64_t n_mels, double f_min,
         double f_max, double floor) {
        const audio::LogMelOptions options{rate, n_fft, hop, n_mels, f_min, f_max, floor};
        return apply(waveform, "audio.log_mel", [&](const at::Tensor& in) { return audio::log_mel(in, options); });
      },
      py::arg("waveform"), py::arg("rate") = mel.rate, py::arg("n_fft") = mel.n_fft, py::arg("hop") = mel.hop,
      py::arg("n_mels") = mel.n_mels, py::arg("f_min") = mel.f_min, py::arg("f_max") = mel.f_max,
      py::arg("floor") = mel.floor, "Log-mel spectrogram of (..., samples) in dB.");
}

}  // namespace brain2music::bindings
