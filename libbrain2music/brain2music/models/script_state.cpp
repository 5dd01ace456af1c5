#include "brain2music/models/script_state.h"

#include <ATen/TensorOperators.h>
#include <torch/csrc/jit/api/module.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace brain2music::models {
namespace {

bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor one = a.cpu().contiguous();
  const at::Tensor other = b.cpu().contiguous();
  return one.nbytes() == 0 || std::memcmp(one.const_data_ptr(), other.const_data_ptr(), one.nbytes()) == 0;
}

// NOLINTNEXTLINE(misc-no-recursion): once, for what is not plain
bool same_tensor(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) {
    return a.defined() == b.defined();
  }
  const auto plain = [](const at::Tensor& x) { return x.is_quantized() ? x.dequantize() : x.to_dense(); };
  if (a.layout() != at::kStrided || a.is_quantized()) {
    return b.layout() == a.layout() && b.is_quantized() == a.is_quantized() && same_tensor(plain(a), plain(b));
  }
  return b.layout() == at::kStrided && !b.is_quantized() && a.sizes() == b.sizes() &&
         a.scalar_type() == b.scalar_type() && same_bytes(a, b);
}

/// The parts of a list, tuple, dictionary or object; empty for what has none.
std::vector<c10::IValue> parts_of(const c10::IValue& value) {
  if (value.isList()) {
    const auto list = value.toListRef();
    // NOLINTNEXTLINE(modernize-return-braced-init-list): braces would make two values of the pointers
    return std::vector<c10::IValue>(list.begin(), list.end());
  }
  if (value.isTuple()) {
    const auto elements = value.toTupleRef().elements();
    // NOLINTNEXTLINE(modernize-return-braced-init-list): see above
    return std::vector<c10::IValue>(elements.begin(), elements.end());
  }
  std::vector<c10::IValue> parts;
  if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) {
      parts.push_back(entry.key());
      parts.push_back(entry.value());
    }
  } else if (value.isObject()) {
    const auto object = value.toObject();
    for (std::size_t i = 0; i < object->type()->numAttributes(); ++i) {
      parts.push_back(object->getSlot(i));
    }
  }
  return parts;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the value is
bool same(const c10::IValue& a, const c10::IValue& b) {
  if (a.isTensor() && b.isTensor()) {
    return same_tensor(a.toTensor(), b.toTensor());
  }
  if (a.tagKind() != b.tagKind()) {
    return false;
  }
  if (a.isCapsule()) {  // packed weights of quantised networks, which calls do not change
    return true;
  }
  if (a.isList() || a.isTuple() || a.isGenericDict() || a.isObject()) {
    const auto left = parts_of(a);
    const auto right = parts_of(b);
    return std::ranges::equal(left, right, same);
  }
  if (a.isDouble()) {  // NaN is what NaN was
    return std::bit_cast<uint64_t>(a.toDouble()) == std::bit_cast<uint64_t>(b.toDouble());
  }
  return a == b;
}

}  // namespace

ModuleState::ModuleState(const torch::jit::Module& module) {
  for (const auto& attribute : module.named_attributes(/*recurse=*/true)) {
    if (!attribute.value.isModule()) {
      values_.emplace_back(attribute.name, attribute.value.deepcopy());
    }
  }
}

std::string ModuleState::changed_in(const torch::jit::Module& module) const {
  std::size_t i = 0;
  for (const auto& attribute : module.named_attributes(/*recurse=*/true)) {
    if (!attribute.value.isModule() && !same(values_.at(i++).second, attribute.value)) {
      return attribute.name;
    }
  }
  return "";
}

bool same_within(const at::Tensor& a, const at::Tensor& b, double tolerance) {
  if (tolerance == 0) {
    return same_bytes(a, b);
  }
  const at::Tensor one = a.to(at::kDouble);
  const double largest = one.numel() == 0 ? 0 : one.abs().max().item<double>();
  return one.numel() == 0 || (one - b.to(at::kDouble)).abs().max().item<double>() <= tolerance * std::max(1.0, largest);
}

}  // namespace brain2music::models
