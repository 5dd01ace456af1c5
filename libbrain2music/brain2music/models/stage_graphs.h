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

/// The first operation of a method that a CUDA graph cannot hold, since the host waits for a tensor's value or shape,
/// or copies a value to the device: e.g. "aten::Int", which `int(position)` becomes.
/// @return its name; empty where there is none.
std::string host_operation(const torch::jit::Module& module, const std::string& method);

}  // namespace brain2music::models
