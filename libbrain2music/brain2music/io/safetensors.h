#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>

#include "brain2music/export.h"

namespace brain2music::io {

/// What a `.safetensors` file holds: tensors by name, and text by name beside them.
struct SafeTensors {
  std::map<std::string, at::Tensor> tensors;    ///< on the CPU
  std::map<std::string, std::string> metadata;  ///< the header's `__metadata__`
};

/// Maps a `.safetensors` file into memory; pages are read when they are touched. Writing to a tensor changes memory,
/// never the file.
/// @throws std::runtime_error naming the file and what is wrong with it.
B2M_API SafeTensors load_safetensors(const std::filesystem::path& path);

/// Writes a `.safetensors` file, tensors in C order, through a temporary name beside it that is then renamed.
/// @throws std::runtime_error when it cannot be written; std::invalid_argument for a type that the format does not know
///         or text that is not UTF-8.
B2M_API void save_safetensors(const std::filesystem::path& path, const SafeTensors& contents);

}  // namespace brain2music::io
