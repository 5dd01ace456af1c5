#pragma once

// torch's own pybind11, so that tensors cross and no second copy of pybind11 meets it in one process.
#include <ATen/core/Tensor.h>
#include <torch/csrc/utils/pybind.h>

#include <optional>
#include <utility>

namespace brain2music::bindings {

namespace py = pybind11;

/// An argument that is a torch tensor, a NumPy array, or what NumPy makes an array of. Seen as a tensor without a copy,
/// except where torch cannot see what NumPy can: foreign byte order, negative or odd strides.
class ArrayArgument {
 public:
  /// @throws py::type_error, signed `where`, for what holds no numbers.
  ArrayArgument(const py::object& value, const char* where);

  const at::Tensor& tensor() const { return tensor_; }

  /// The result as the kind of array that came in: again without a copy.
  py::object like_input(const at::Tensor& result) const;

 private:
  at::Tensor tensor_;
  bool numpy_ = false;
};

/// The tensor of an argument that may be None, alive beyond the argument.
inline std::optional<at::Tensor> optional_tensor(const std::optional<py::object>& value, const char* where) {
  return value ? std::optional(ArrayArgument(*value, where).tensor()) : std::nullopt;
}

/// Runs `work(tensor) -> tensor` without the interpreter lock; array in, array of the same kind out.
template <class Work>
py::object apply(const py::object& value, const char* where, const Work& work) {
  const ArrayArgument argument(value, where);
  at::Tensor result;
  {
    const py::gil_scoped_release unlocked;
    result = work(argument.tensor());
  }
  return argument.like_input(result);
}

/// A tensor's memory as a NumPy array.
py::object to_numpy(const at::Tensor& tensor);

void bind_audio(py::module_& core);
void bind_decoding(py::module_& core);
void bind_embedding(py::module_& core);
void bind_encoding(py::module_& core);
void bind_generation(py::module_& core);
void bind_io(py::module_& core);
void bind_kernels(py::module_& core);
void bind_metrics(py::module_& core);
void bind_models(py::module_& core);
void bind_ridge(py::module_& core);
void bind_retrieval(py::module_& core);
void bind_signal(py::module_& core);

}  // namespace brain2music::bindings
