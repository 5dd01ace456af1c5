#include "arrays.h"

#include <ATen/ops/from_blob.h>
#include <pybind11/numpy.h>
#include <torch/csrc/autograd/python_variable.h>

#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "brain2music/check.h"

namespace brain2music::bindings {
namespace {

struct TypePair {
  char kind;
  int64_t bytes;
  at::ScalarType type;
};

constexpr std::array<TypePair, 14> type_pairs{{{'f', 2, at::kHalf},
                                               {'f', 4, at::kFloat},
                                               {'f', 8, at::kDouble},
                                               {'i', 1, at::kChar},
                                               {'i', 2, at::kShort},
                                               {'i', 4, at::kInt},
                                               {'i', 8, at::kLong},
                                               {'u', 1, at::kByte},
                                               {'u', 2, at::kUInt16},
                                               {'u', 4, at::kUInt32},
                                               {'u', 8, at::kUInt64},
                                               {'b', 1, at::kBool},
                                               {'c', 8, at::kComplexFloat},
                                               {'c', 16, at::kComplexDouble}}};

at::ScalarType scalar_type(const py::dtype& dtype, const char* where) {
  for (const TypePair& pair : type_pairs) {
    if (pair.kind == dtype.kind() && pair.bytes == dtype.itemsize()) {
      return pair.type;
    }
  }
  throw py::type_error(error_message(where, "an array of numbers is expected; got dtype ",
                                     py::str(static_cast<const py::object&>(dtype)).cast<std::string>()));
}

std::string dtype_name(at::ScalarType type) {
  for (const TypePair& pair : type_pairs) {
    if (pair.type == type) {
      return std::string(1, pair.kind) + std::to_string(pair.bytes);
    }
  }
  fail("bindings", "NumPy must know the type; got ", type);
}

bool torch_can_see(const py::array& array) {
  bool fits = (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0;
  for (py::ssize_t axis = 0; axis < array.ndim(); ++axis) {
    fits = fits && array.strides(axis) >= 0 && array.strides(axis) % array.itemsize() == 0;
  }
  return fits;
}

at::Tensor view_of(py::array array, const char* where) {
  const char order = array.dtype().byteorder();
  if (order != '=' && order != '|' && order != '<') {
    array = array.attr("astype")(array.dtype().attr("newbyteorder")("="));
  }
  const at::ScalarType type = scalar_type(array.dtype(), where);
  if (!torch_can_see(array)) {
    array = array.attr("copy")();
  }
  std::vector<int64_t> shape(array.shape(), array.shape() + array.ndim());
  std::vector<int64_t> strides(array.strides(), array.strides() + array.ndim());
  for (int64_t& stride : strides) {
    stride /= array.itemsize();
  }
  void* data = const_cast<void*>(array.data());  // read-only arrays too: nothing here writes to an argument
  const std::shared_ptr<py::array> owner(new py::array(std::move(array)), [](py::array* held) {
    const py::gil_scoped_acquire locked;
    delete held;
  });
  return at::from_blob(data, shape, strides, [owner](void*) {}, at::TensorOptions().dtype(type));
}

}  // namespace

ArrayArgument::ArrayArgument(const py::object& value, const char* where) {
  if (THPVariable_Check(value.ptr())) {
    const at::Tensor& given = THPVariable_Unpack(value.ptr());
    if (given.layout() != at::kStrided || given.is_nested() || given.is_quantized()) {
      std::string kind = "a tensor of layout " + c10::str(given.layout());
      if (given.is_nested()) {
        kind = "a nested tensor";
      } else if (given.is_quantized()) {
        kind = "a quantised tensor";
      }
      throw std::invalid_argument(
          error_message(where, "such tensors have no place here; got ", kind,
                        ": make a plain tensor of it (to_dense, dequantize, to_padded_tensor)"));
    }
    // Conjugation and negation by a flag alone are written out: kernels read the memory.
    tensor_ = given.resolve_conj().resolve_neg();
    return;
  }
  numpy_ = true;
  py::array array =
      py::isinstance<py::array>(value) ? py::reinterpret_borrow<py::array>(value) : py::array::ensure(value);
  if (!array) {
    PyErr_Clear();
    throw py::type_error(error_message(where, "a NumPy array or a torch tensor is expected; got ",
                                       py::str(py::type::of(value)).cast<std::string>()));
  }
  const py::object mask = py::getattr(array, "mask", py::none());
  if (!mask.is_none() && PyCallable_Check(mask.ptr()) == 0 && mask.attr("any")().cast<bool>()) {
    throw std::invalid_argument(error_message(where,
                                              "masked or missing values have no place here; got a masked array: fill "
                                              "them, or leave out the rows or columns that hold them"));
  }
  tensor_ = view_of(std::move(array), where);
}

py::object ArrayArgument::like_input(const at::Tensor& result) const {
  return numpy_ ? to_numpy(result) : py::cast(result);
}

py::object to_numpy(const at::Tensor& tensor) {
  const py::dtype dtype(dtype_name(tensor.scalar_type()));
  std::vector<py::ssize_t> shape(tensor.sizes().begin(), tensor.sizes().end());
  std::vector<py::ssize_t> strides(tensor.strides().begin(), tensor.strides().end());
  for (py::ssize_t& stride : strides) {
    stride *= dtype.itemsize();
  }
  auto owner = std::make_unique<at::Tensor>(tensor);
  const py::capsule base(owner.get(), [](void* memory) { delete static_cast<at::Tensor*>(memory); });
  void* data = owner.release()->data_ptr();
  return py::array(dtype, shape, strides, data, base);
}

}  // namespace brain2music::bindings
