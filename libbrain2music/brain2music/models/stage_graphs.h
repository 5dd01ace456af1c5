#pragma once

#include <c10/core/ScalarType.h>

#include <string>
#include <vector>

namespace torch::jit {
struct Module;
}

namespace brain2music::models {

/// Replaces operations of a stage's network, which runs on a CPU in float32, by the library's own:
/// - products with a constant matrix (aten::linear, and aten::addmm, aten::matmul, aten::mm with it on their right
///   side) by brain2music::packed_linear, the matrix by its packed form; matrices that several methods use are packed
///   once, and nothing else holds them afterwards;
/// - aten::scaled_dot_product_attention and aten::rms_norm by brain2music::attend and brain2music::rms_norm.
/// @param module  frozen; its graphs are changed.
/// @param methods those whose graphs are changed, with what they call.
/// @param dtype   of the packed weights: float32, bfloat16, float16 or int8.
/// @return the products with weights that are no constants, which stay LibTorch's: where each stands in the network's
///         source, as far as that is told.
std::vector<std::string> use_own_operations(const torch::jit::Module& module, const std::vector<std::string>& methods,
                                            at::ScalarType dtype);

}  // namespace brain2music::models
