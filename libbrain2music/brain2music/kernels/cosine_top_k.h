#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "brain2music/export.h"

namespace brain2music::kernels {

/// The most similar items of each query.
struct TopK {
  at::Tensor scores;   ///< (q, k) float32, descending
  at::Tensor indices;  ///< (q, k) int64, rows of the items
};

/// The k items of greatest cosine with each query: exact, whatever the data.
///
/// A score is the cosine in float64, sums taken in an order that depends on d alone, rounded to float32; of equal
/// scores the item of lower index comes first. So the same rows and numbers come out whatever the number of threads,
/// the other queries, the place of an item, the sketch and the device.
///
/// On the CPU a sketch of 16 bits a value screens the items, read or made on the way; what it cannot rule out is
/// scored. Where k exceeds an eighth of the items, all are scored.
///
/// @param queries (q, d) float32, any length but zero, on CPU or CUDA; contiguous, or copied.
/// @param items   (n, d) float32, any length but zero, on the same device; contiguous, or copied.
/// @param k       from 1 to n.
/// @param sketch  cosine_sketch(items), for items that are searched again and again: half the memory to read. CPU only.
/// @return scores and indices, each (q, k), on the device of the input.
/// @throws std::invalid_argument on other shapes or types, k out of range, and rows, named, that are all zero or hold
///         NaN or Inf.
B2M_API TopK cosine_top_k(const at::Tensor& queries, const at::Tensor& items, int64_t k,
                          const std::optional<at::Tensor>& sketch = std::nullopt);

/// The items at unit length in 16 bits a value, in the order in which the CPU's search reads them: for cosine_top_k.
///
/// @param items (n, d) float32 on the CPU.
/// @return (ceil(n / 16), ceil(d / 2), 16, 2) int16: blocks of 16 items, two dimensions of each side by side.
/// @throws std::invalid_argument as cosine_top_k does.
B2M_API at::Tensor cosine_sketch(const at::Tensor& items);

}  // namespace brain2music::kernels
