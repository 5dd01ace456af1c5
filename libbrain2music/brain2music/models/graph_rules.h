#pragma once

#include <string>
#include <vector>

namespace torch::jit {
struct Module;
}

namespace brain2music::models {

/// Refuses networks whose answer is a matter of chance or of the clips beside one: dropout and batch norm in training
/// mode, and operations that draw random numbers. Nothing is called: the graphs
/// are read, with those of the functions and submodules that they call.
/// @param module  frozen, in evaluation mode.
/// @param methods those to look at.
/// @param named   how messages call the network, e.g. "role 'codec' (codec.pt)".
/// @throws std::runtime_error naming the operation and the method.
void check_graphs(const torch::jit::Module& module, const std::vector<std::string>& methods, const std::string& named);

}  // namespace brain2music::models
