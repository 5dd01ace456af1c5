#include <cstdint>
#include <optional>
#include <vector>

#include "arrays.h"
#include "brain2music/signal/detrend.h"
#include "brain2music/signal/zscore.h"

namespace brain2music::bindings {

void bind_signal(py::module_& core) {
  auto room = core.def_submodule("signal", "BOLD time series.");
  room.def("window_scans", &signal::window_scans, py::arg("tr"), py::arg("window"),
           "Scans in a centred window of so many seconds: always odd.");
  room.def(
      "median_detrend",
      [](const py::object& bold, double tr, double window, const std::vector<int64_t>& run_lengths,
         const std::optional<py::object>& sample_mask) {
        const std::optional<at::Tensor> kept = optional_tensor(sample_mask, "signal.median_detrend");
        return apply(bold, "signal.median_detrend",
                     [&](const at::Tensor& in) { return signal::median_detrend(in, tr, window, run_lengths, kept); });
      },
      py::arg("bold"), py::arg("tr") = 1.5, py::arg("window") = 240.0, py::arg("run_lengths") = std::vector<int64_t>{},
      py::arg("sample_mask") = py::none(), "Each voxel of (scans, voxels) minus its running median, run by run.");
  room.def(
      "zscore",
      [](const py::object& bold, const std::vector<int64_t>& run_lengths) {
        return apply(bold, "signal.zscore", [&](const at::Tensor& in) { return signal::zscore(in, run_lengths); });
      },
      py::arg("bold"), py::arg("run_lengths") = std::vector<int64_t>{},
      "Each voxel of (scans, voxels) to mean 0 and variance 1, run by run.");
}

}  // namespace brain2music::bindings
