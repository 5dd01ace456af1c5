#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "arrays.h"
#include "brain2music/check.h"
#include "brain2music/decoding/brain_decoder.h"
#include "ridge_options.h"

namespace brain2music::bindings {

void bind_decoding(py::module_& core) {
  auto room = core.def_submodule("decoding", "From brain activity to embeddings of music.");
  room.def(
      "fit_brain_decoder",
      [](const py::object& responses, const py::object& targets, const py::object& members, const py::object& labels,
         const std::vector<py::object>& held_out, int64_t n_rois, const std::vector<double>& alphas, int64_t min_voxels,
         const std::string& device) {
        constexpr auto where = "decoding.BrainDecoder.fit";
        const ArrayArgument brain(responses, where);
        const ArrayArgument music(targets, where);
        const at::Tensor windows = ArrayArgument(members, where).tensor();
        const at::Tensor regions = ArrayArgument(labels, where).tensor();
        const ridge::Folds folds = folds_of(brain.tensor().dim() > 0 ? brain.tensor().size(0) : 0, held_out);
        decoding::DecoderFit fit;
        {
          const py::gil_scoped_release unlocked;
          decoding::DecoderOptions options{n_rois, alphas, min_voxels, {}};
          if (!device.empty()) {
            options.device = at::Device(device);
          }
          fit = decoding::fit_brain_decoder(brain.tensor(), music.tensor(), windows, regions, folds, options);
        }
        py::list rois;
        for (const decoding::RoiModel& roi : fit.decoder.rois) {
          py::dict model;
          model["label"] = roi.label;
          model["score"] = roi.score;
          model["voxels"] = brain.like_input(roi.voxels);
          model["coef"] = brain.like_input(roi.coef);
          model["intercept"] = brain.like_input(roi.intercept);
          model["alphas"] = brain.like_input(roi.alphas);
          rois.append(std::move(model));
        }
        py::dict result;
        result["rois"] = std::move(rois);
        result["scores"] = fit.scores;
        result["passed"] = fit.passed;
        result["left_out"] = fit.left_out;
        result["at_lower_edge"] = fit.at_lower_edge;
        result["at_upper_edge"] = fit.at_upper_edge;
        return result;
      },
      py::arg("responses"), py::arg("targets"), py::arg("members"), py::arg("labels"), py::arg("held_out"),
      py::arg("n_rois"), py::arg("alphas"), py::arg("min_voxels"), py::arg("device") = "",
      "Fit a ridge regression a region and keep the best regions.");
  room.def(
      "predict",
      [](const py::object& responses, const py::object& members, int64_t voxels, const std::vector<py::dict>& rois,
         bool missing_nan) {
        constexpr auto where = "decoding.BrainDecoder.predict";
        decoding::BrainDecoder decoder{voxels, ArrayArgument(members, where).tensor(), {}};
        const ArrayArgument brain(responses, where);
        const at::Device device = brain.tensor().device();
        for (const py::dict& roi : rois) {
          const auto part = [&](const char* name) { return ArrayArgument(roi[name], where).tensor().to(device); };
          decoder.rois.push_back(
              {roi["label"].cast<int64_t>(), 0.0, part("voxels"), part("coef"), part("intercept"), {}});
        }
        at::Tensor predicted;
        {
          const py::gil_scoped_release unlocked;
          predicted = decoder.predict(brain.tensor(), missing_nan ? decoding::Missing::nan : decoding::Missing::error);
        }
        return brain.like_input(predicted);
      },
      py::arg("responses"), py::arg("members"), py::arg("voxels"), py::arg("rois"), py::arg("missing_nan") = false,
      "Predict (n, r, d) embeddings from (n, s, v) responses.");
}

}  // namespace brain2music::bindings
