#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

/// What oracle.py wrote.
std::filesystem::path oracle_path(const std::string& file);
at::Tensor oracle(const std::string& name);

/// The devices that the device-independent test bodies run on.
std::vector<at::Device> devices();

/// Same shape, type and values, to the last bit (zeros of either sign are equal).
bool identical(const at::Tensor& a, const at::Tensor& b);
