#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>

#include "brain2music/export.h"

namespace brain2music::io {

/// Maps a NumPy `.npy` file (format 1 to 3, numbers or booleans) into memory; pages are read when they are touched.
/// Writing to the tensor changes memory, never the file. Big-endian numbers are copied.
/// @throws std::runtime_error naming the file and what is wrong with it.
B2M_API at::Tensor load_npy(const std::filesystem::path& path);

/// Writes `array` as a `.npy` file, in C order, through a temporary name beside it that is then renamed.
/// @throws std::runtime_error when it cannot be written; std::invalid_argument for a type that .npy does not know.
B2M_API void save_npy(const std::filesystem::path& path, const at::Tensor& array);

}  // namespace brain2music::io
