#include <cstdint>
#include <optional>
#include <vector>

#include "arrays.h"
#include "brain2music/kernels/cosine_top_k.h"
#include "brain2music/kernels/fold_scores.h"
#include "brain2music/kernels/median_filter.h"
#include "brain2music/kernels/permutation_null.h"
#include "brain2music/kernels/sample_tokens.h"
#include "brain2music/kernels/standardize.h"

namespace brain2music::bindings {

void bind_kernels(py::module_& core) {
  auto room = core.def_submodule("kernels", "Operations that LibTorch lacks, on CPU and CUDA.");
  room.def(
      "fold_scores",
      [](const py::object& products, const py::object& weights) {
        const at::Tensor w = ArrayArgument(weights, "kernels.fold_scores").tensor();
        return apply(products, "kernels.fold_scores",
                     [&](const at::Tensor& in) { return kernels::fold_scores(in, w); });
      },
      py::arg("products"), py::arg("weights"), "Held-out sums that ridge scores are made of: (3, penalties, targets).");
  room.def(
      "median_filter",
      [](const py::object& x, int64_t size, const std::vector<int64_t>& run_lengths, bool residual,
         const std::optional<py::object>& kept) {
        const auto output = residual ? kernels::MedianOutput::residual : kernels::MedianOutput::trend;
        const std::optional<at::Tensor> scans = optional_tensor(kept, "kernels.median_filter");
        return apply(x, "kernels.median_filter", [&](const at::Tensor& in) {
          return kernels::median_filter(in, size, run_lengths, output, scans);
        });
      },
      py::arg("x"), py::arg("size"), py::arg("run_lengths") = std::vector<int64_t>{}, py::arg("residual") = false,
      py::arg("kept") = py::none(),
      "Running median of (scans, voxels) along the scans, edges reflected; or the input minus it.");
  room.def(
      "cosine_top_k",
      [](const py::object& queries, const py::object& items, int64_t k, const std::optional<py::object>& sketch) {
        const ArrayArgument asked(queries, "kernels.cosine_top_k");
        const ArrayArgument known(items, "kernels.cosine_top_k");
        const std::optional<at::Tensor> screen = optional_tensor(sketch, "kernels.cosine_top_k");
        kernels::TopK best;
        {
          const py::gil_scoped_release unlocked;
          best = kernels::cosine_top_k(asked.tensor(), known.tensor(), k, screen);
        }
        return py::make_tuple(asked.like_input(best.scores), asked.like_input(best.indices));
      },
      py::arg("queries"), py::arg("items"), py::arg("k"), py::arg("sketch") = py::none(),
      "Items of greatest cosine with each query: (scores, indices), each (queries, k), equal scores by index.");
  room.def(
      "cosine_sketch",
      [](const py::object& items) { return apply(items, "kernels.cosine_sketch", &kernels::cosine_sketch); },
      py::arg("items"), "What makes repeated searches of the same items faster on the CPU.");
  room.def(
      "permutation_null",
      [](const py::object& predicted, const py::object& observed, const py::object& permutations, double slack) {
        const ArrayArgument first(predicted, "kernels.permutation_null");
        const ArrayArgument second(observed, "kernels.permutation_null");
        const ArrayArgument orders(permutations, "kernels.permutation_null");
        kernels::PermutationNull null;
        {
          const py::gil_scoped_release unlocked;
          null = kernels::permutation_null(first.tensor(), second.tensor(), orders.tensor(), slack);
        }
        return py::make_tuple(first.like_input(null.at_least), first.like_input(null.largest),
                              first.like_input(null.own));
      },
      py::arg("predicted"), py::arg("observed"), py::arg("permutations"), py::arg("slack") = 0.0,
      "Scores of blocks in other orders: how many reach that of their own order, and the largest of each order.");
  room.def(
      "sample_tokens",
      [](const py::object& logits, const py::object& ranges, const py::object& streams, const py::object& step,
         int64_t seed, double temperature, int64_t top_k, double top_p) {
        const at::Tensor from = ArrayArgument(ranges, "kernels.sample_tokens").tensor();
        const at::Tensor of = ArrayArgument(streams, "kernels.sample_tokens").tensor();
        const at::Tensor at = ArrayArgument(step, "kernels.sample_tokens").tensor();
        return apply(logits, "kernels.sample_tokens", [&](const at::Tensor& in) {
          return kernels::sample_tokens(in, from, of, at, seed, {temperature, top_k, top_p});
        });
      },
      py::arg("logits"), py::arg("ranges"), py::arg("streams"), py::arg("step"), py::arg("seed"),
      py::arg("temperature") = 1.0, py::arg("top_k") = 0, py::arg("top_p") = 1.0,
      "Ids drawn from rows of logits (n, vocabulary), each from its range: (n,); -1 where nothing can be drawn.");
  room.def(
      "standardize",
      [](const py::object& x, const std::vector<int64_t>& run_lengths) {
        return apply(x, "kernels.standardize",
                     [&](const at::Tensor& in) { return kernels::standardize(in, run_lengths); });
      },
      py::arg("x"), py::arg("run_lengths") = std::vector<int64_t>{},
      "Columns of (scans, voxels) to mean 0 and standard deviation 1 within each run.");
}

}  // namespace brain2music::bindings
