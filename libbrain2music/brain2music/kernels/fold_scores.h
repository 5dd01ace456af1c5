#pragma once

#include <ATen/core/Tensor.h>

#include "brain2music/export.h"

namespace brain2music::kernels {

/// Sums over a fold's held-out rows that ridge scores are made of, for all penalties and targets, from products with
/// the targets in the eigenbasis of the training rows; no prediction is formed. With c, h, n, m and g the five matrices
/// of `products` and w the five of `weights`, summed over the p features:
///     predicted = w0 c,   product = w1 c h,   squares = c (w2 n + w3 m + w4 g) .
///
/// @param products (5, p, t) float32 or float64, contiguous, on CPU or CUDA.
/// @param weights  (5, penalties, p) of the same type, contiguous, on the same device.
/// @return (3, penalties, t) float64: predicted, product, squares; sums are taken in the type of `products`, in the
///         order of the features, so that they do not depend on threads or blocks.
/// @throws std::invalid_argument on other shapes, types or layouts.
B2M_API at::Tensor fold_scores(const at::Tensor& products, const at::Tensor& weights);

}  // namespace brain2music::kernels
