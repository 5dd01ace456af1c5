#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "arrays.h"
#include "brain2music/check.h"
#include "brain2music/decoding/brain_decoder.h"
#include "brain2music/decoding/decoder_file.h"
#include "ridge_options.h"

namespace brain2music::bindings {
namespace {

using Space = std::optional<std::tuple<std::string, std::string, double, double>>;

/// The regions of a decoder, their tensors as `wrapped` makes them.
template <class Wrap>
py::list described(const std::vector<decoding::RoiModel>& rois, const Wrap& wrapped) {
  py::list result;
  for (const decoding::RoiModel& roi : rois) {
    py::dict model;
    model["label"] = roi.label;
    model["score"] = roi.score;
    model["voxels"] = wrapped(roi.voxels);
    model["coef"] = wrapped(roi.coef);
    model["intercept"] = wrapped(roi.intercept);
    model["alphas"] = wrapped(roi.alphas);
    result.append(std::move(model));
  }
  return result;
}

/// The decoder that Python holds in parts, on a device.
decoding::BrainDecoder decoder_of(const py::object& members, int64_t voxels, const std::vector<py::dict>& rois,
                                  at::Device device, const char* where) {
  decoding::BrainDecoder decoder;
  decoder.voxels = voxels;
  decoder.members = ArrayArgument(members, where).tensor();
  for (const py::dict& roi : rois) {
    const auto part = [&](const char* name) { return ArrayArgument(roi[name], where).tensor().to(device); };
    decoder.rois.push_back({roi["label"].cast<int64_t>(), roi["score"].cast<double>(), part("voxels"), part("coef"),
                            part("intercept"), part("alphas")});
  }
  return decoder;
}

}  // namespace

void bind_decoding(py::module_& core) {
  auto room = core.def_submodule("decoding", "From brain activity to embeddings of music.");
  room.def(
      "fit_brain_decoder",
      [](const py::object& responses, const py::object& targets, const py::object& members, const py::object& labels,
         const std::vector<py::object>& named_folds, int64_t n_rois, const std::vector<double>& alphas,
         int64_t min_voxels, const std::string& device) {
        constexpr auto where = "decoding.BrainDecoder.fit";
        const ArrayArgument brain(responses, where);
        const ArrayArgument music(targets, where);
        const at::Tensor windows = ArrayArgument(members, where).tensor();
        const at::Tensor regions = ArrayArgument(labels, where).tensor();
        const ridge::Folds folds = folds_of(brain.tensor().dim() > 0 ? brain.tensor().size(0) : 0, named_folds);
        decoding::DecoderFit fit;
        {
          const py::gil_scoped_release unlocked;
          decoding::DecoderOptions options{n_rois, alphas, min_voxels, {}};
          if (!device.empty()) {
            options.device = at::Device(device);
          }
          fit = decoding::fit_brain_decoder(brain.tensor(), music.tensor(), windows, regions, folds, options);
        }
        py::dict result;
        result["rois"] = described(fit.decoder.rois, [&](const at::Tensor& part) { return brain.like_input(part); });
        result["scores"] = fit.scores;
        result["passed"] = fit.passed;
        result["left_out"] = fit.left_out;
        result["without_target"] = fit.without_target;
        result["at_lower_edge"] = fit.at_lower_edge;
        result["at_upper_edge"] = fit.at_upper_edge;
        return result;
      },
      py::arg("responses"), py::arg("targets"), py::arg("members"), py::arg("labels"), py::arg("folds"),
      py::arg("n_rois"), py::arg("alphas"), py::arg("min_voxels"), py::arg("device") = "",
      "Fit a ridge regression a region and keep the best regions.");
  room.def(
      "predict",
      [](const py::object& responses, const py::object& members, int64_t voxels, const std::vector<py::dict>& rois,
         bool missing_nan) {
        constexpr auto where = "decoding.BrainDecoder.predict";
        const ArrayArgument brain(responses, where);
        const auto decoder = decoder_of(members, voxels, rois, brain.tensor().device(), where);
        at::Tensor predicted;
        {
          const py::gil_scoped_release unlocked;
          predicted = decoder.predict(brain.tensor(), missing_nan ? decoding::Missing::nan : decoding::Missing::error);
        }
        return brain.like_input(predicted);
      },
      py::arg("responses"), py::arg("members"), py::arg("voxels"), py::arg("rois"), py::arg("missing_nan") = false,
      "Predict (n, r, d) embeddings from (n, s, v) responses.");
  room.def(
      "load_decoder",
      [](const std::filesystem::path& path) {
        const decoding::BrainDecoder decoder = decoding::load_decoder(path);
        py::dict result;
        result["voxels"] = decoder.voxels;
        result["members"] = to_numpy(decoder.members);
        result["rois"] = described(decoder.rois, &to_numpy);
        result["space"] =
            decoder.space ? Space({decoder.space->role, decoder.space->hash, decoder.space->window, decoder.space->hop})
                          : Space();
        return result;
      },
      py::arg("path"), "Read a decoder: voxels, members, rois, and space as (role, hash, window, hop).");
  room.def(
      "save_decoder",
      [](const std::filesystem::path& path, const py::object& members, int64_t voxels,
         const std::vector<py::dict>& rois, const Space& space) {
        auto decoder = decoder_of(members, voxels, rois, at::kCPU, "decoding.save_decoder");
        if (space) {
          const auto& [role, hash, window, hop] = *space;
          decoder.space = EmbeddingSpace{role, hash, window, hop};
        }
        const py::gil_scoped_release unlocked;
        decoding::save_decoder(path, decoder);
      },
      py::arg("path"), py::arg("members"), py::arg("voxels"), py::arg("rois"), py::arg("space") = py::none(),
      "Write a decoder, whole or not at all.");
}

}  // namespace brain2music::bindings
