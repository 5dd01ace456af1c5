#include "brain2music/encoding/permutation_test.h"

#include <cstdint>

#include "arrays.h"

namespace brain2music::bindings {
namespace {

py::dict as_dict(const encoding::PermutationTest& test, const ArrayArgument& like) {
  py::dict result;
  result["score"] = like.like_input(test.score);
  result["p"] = like.like_input(test.p);
  result["p_max"] = like.like_input(test.p_max);
  result["at_least"] = like.like_input(test.at_least);
  result["largest"] = like.like_input(test.largest);
  result["in_tail"] = like.like_input(test.in_tail);
  return result;
}

}  // namespace

void bind_encoding(py::module_& core) {
  auto room = core.def_submodule("encoding", "Features of music to voxels, and where they are significant.");
  room.def(
      "permutation_test",
      [](const py::object& predicted, const py::object& observed, const py::object& permutations,
         const py::object& coef, bool all_orders, bool tail) {
        constexpr auto where = "encoding.permutation_test";
        const ArrayArgument first(predicted, where);
        const ArrayArgument second(observed, where);
        const ArrayArgument orders(permutations, where);
        at::Tensor weights;
        if (!coef.is_none()) {
          weights = ArrayArgument(coef, where).tensor();
        }
        encoding::PermutationTestOptions options;
        options.all_orders = all_orders;
        options.tail = tail;
        options.on_progress = [](int64_t, int64_t) {
          const py::gil_scoped_acquire locked;
          if (PyErr_CheckSignals() != 0) {  // Ctrl-C
            throw py::error_already_set();
          }
        };
        encoding::PermutationTest test;
        {
          const py::gil_scoped_release unlocked;
          test = weights.defined()
                     ? encoding::permutation_test(first.tensor(), weights, second.tensor(), orders.tensor(), options)
                     : encoding::permutation_test(first.tensor(), second.tensor(), orders.tensor(), options);
        }
        return as_dict(test, second);
      },
      py::arg("predicted"), py::arg("observed"), py::arg("permutations"), py::arg("coef") = py::none(),
      py::arg("all_orders") = false, py::arg("tail") = true,
      "Tests correlations against orders of the clips. With coef, predicted are features and predictions are made.");
}

}  // namespace brain2music::bindings
