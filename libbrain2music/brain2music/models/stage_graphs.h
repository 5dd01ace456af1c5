#pragma once

#include <string>
#include <vector>

namespace torch::jit {
struct Module;
}

namespace brain2music::models {

/// Replaces aten::linear by brain2music::row_linear, and aten::addmm, aten::matmul and aten::mm with a constant matrix
/// on their right side, whose transpose becomes the constant.
/// @param module  frozen; its graphs are changed.
/// @param methods those whose graphs are changed, with what they call.
void use_row_linear(const torch::jit::Module& module, const std::vector<std::string>& methods);

}  // namespace brain2music::models
