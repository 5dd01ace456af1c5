#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "brain2music/export.h"

namespace brain2music::kernels {

/// Options of one draw.
struct SampleOptions {
  double temperature = 1;  ///< logits are divided by it; 0 takes the greatest logit, the lowest id among equal ones
  int64_t top_k = 0;       ///< only the k greatest logits, and those equal to the k-th, may be drawn; 0: all
  double top_p = 1;  ///< only the fewest most probable ids whose probabilities add up to top_p may be drawn; 1: all
};

/// Draws one token id for each row of logits: softmax(logits / temperature), cut by top-k, then by top-p.
///
/// The order is that of transformers: temperature, top-k, top-p (of the probabilities that top-k leaves). Of logits
/// equal to the last that is kept, all are kept. A logit of -Inf is never drawn.
///
/// The weight of an id is exp((logit - greatest logit) / temperature), rounded to a multiple of 2^-40. Sums of weights
/// are exact, so tokens do not depend on the number of threads, on the other rows, or on the device. The random number
/// of a row is made by Philox4x32-10 from `seed` (key), `streams[row]` (upper half of the counter) and `step` (lower
/// half): its first two words, as 64 bits.
///
/// A row gives -1 if no logit of its range is finite, or one is NaN or +Inf; on CUDA also if its range is none, since a
/// captured CUDA graph cannot throw.
///
/// @param logits  (n, V) float32, V at most 2^22, on CPU or CUDA; contiguous, or copied.
/// @param ranges  (n, 2) int64: the first id, and one past the last id, that may be drawn from each row;
///                0 <= first < last <= V.
/// @param streams (n,) int64: rows of different streams draw independently.
/// @param step    () int64: steps of a stream draw independently; a tensor, so that a CUDA graph can advance it.
/// @param seed    any number.
/// @param options temperature, top-k and top-p of all rows.
/// @return (n,) int64 ids, on the device of the logits.
/// @throws std::invalid_argument on other shapes, types or devices, options out of range and, on a CPU, ranges that
///         hold no id, named by row.
B2M_API at::Tensor sample_tokens(const at::Tensor& logits, const at::Tensor& ranges, const at::Tensor& streams,
                                 const at::Tensor& step, int64_t seed, const SampleOptions& options = {});

}  // namespace brain2music::kernels
