#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>

#include "brain2music/decoding/brain_decoder.h"
#include "brain2music/export.h"

/// Decoders as `.safetensors` files, which C++ and Python share: docs/reference/files/decoder.rst.
namespace brain2music::decoding {

/// Reads a decoder that `BrainDecoder.save` of Python, or save_decoder(), wrote.
/// @param path   the `.safetensors` file.
/// @param device where the decoder's tensors go: the device of the responses it will be given.
/// @return the decoder; its tensors are mapped from the file when they stay on the CPU.
/// @throws std::runtime_error naming the file and the field, when the file is cut short, holds no decoder, is of
/// another
///         version, or contradicts itself.
B2M_API BrainDecoder load_decoder(const std::filesystem::path& path, at::Device device = at::kCPU);

/// Writes a decoder for load_decoder() and for `brain2music.load` of Python. The file appears whole or not at all.
/// @param path    ends in `.safetensors`.
/// @param decoder as fitted or loaded.
/// @throws std::invalid_argument naming the field, when the decoder contradicts itself; std::runtime_error when the
/// file
///         cannot be written.
B2M_API void save_decoder(const std::filesystem::path& path, const BrainDecoder& decoder);

}  // namespace brain2music::decoding
