#include <cstdint>
#include <optional>
#include <vector>

#include "arrays.h"
#include "brain2music/metrics/class_agreement.h"
#include "brain2music/metrics/correlation.h"
#include "brain2music/metrics/identification.h"
#include "brain2music/metrics/r2.h"

namespace brain2music::bindings {
namespace {

/// Two arrays in, one of the first one's kind out.
template <class Work>
py::object apply_to_pair(const py::object& first, const py::object& second, const char* where, const Work& work) {
  const ArrayArgument other(second, where);
  return apply(first, where, [&](const at::Tensor& in) { return work(in, other.tensor()); });
}

}  // namespace

void bind_metrics(py::module_& core) {
  auto room = core.def_submodule("metrics", "How well predictions fit.");
  room.def(
      "pearson_correlation",
      [](const py::object& predicted, const py::object& target, int64_t dim) {
        return apply_to_pair(
            predicted, target, "metrics.pearson_correlation",
            [&](const at::Tensor& a, const at::Tensor& b) { return metrics::pearson_correlation(a, b, dim); });
      },
      py::arg("predicted"), py::arg("target"), py::arg("dim"),
      "Correlation of each column over the rows (dim 0) or of each row over the columns (dim 1).");
  room.def(
      "correlation_matrix",
      [](const py::object& predicted, const py::object& target) {
        return apply_to_pair(predicted, target, "metrics.correlation_matrix", metrics::correlation_matrix);
      },
      py::arg("predicted"), py::arg("target"), "Correlation of every row of predicted with every row of target.");
  room.def(
      "r2_score",
      [](const py::object& predicted, const py::object& target) {
        return apply_to_pair(predicted, target, "metrics.r2_score", metrics::r2_score);
      },
      py::arg("predicted"), py::arg("target"), "Coefficient of determination of each column.");
  room.def(
      "identification_accuracy",
      [](const py::object& predicted, const py::object& target, const std::optional<py::object>& groups) {
        constexpr auto where = "metrics.identification_accuracy";
        std::optional<at::Tensor> group;
        if (groups) {
          group = ArrayArgument(*groups, where).tensor();
        }
        return apply_to_pair(predicted, target, where, [&](const at::Tensor& a, const at::Tensor& b) {
          return metrics::identification_accuracy(a, b, group).per_item;
        });
      },
      py::arg("predicted"), py::arg("target"), py::arg("groups") = py::none(),
      "Per item, the share of other targets that correlate less with its prediction than its own does.");
  room.def(
      "identification_scores",
      [](const py::object& predicted, const py::object& target, int64_t windows) {
        return apply_to_pair(
            predicted, target, "metrics.identification_scores",
            [&](const at::Tensor& a, const at::Tensor& b) { return metrics::identification_scores(a, b, windows); });
      },
      py::arg("predicted"), py::arg("target"), py::arg("windows") = 1,
      "The identification accuracy of each prediction, were each target its own.");
  room.def(
      "class_agreement",
      [](const py::object& original, const py::object& reconstructed, const std::vector<int64_t>& classes, int64_t n) {
        return apply_to_pair(
            original, reconstructed, "metrics.class_agreement",
            [&](const at::Tensor& a, const at::Tensor& b) { return metrics::class_agreement(a, b, classes, n); });
      },
      py::arg("original"), py::arg("reconstructed"), py::arg("classes"), py::arg("n"),
      "Per item, the share of the n most likely classes that two judgements have in common.");
}

}  // namespace brain2music::bindings
