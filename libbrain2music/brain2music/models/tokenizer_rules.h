#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "brain2music/models/manifest.h"

namespace brain2music::models {

/// Tokens to try a network with.
struct Tokens {
  std::vector<int64_t> ids{0};  ///< that the vocabulary holds, spread over it
  int64_t length = 3;           ///< of a text
};

/// Reads the `tokenizer.json` of a role (Hugging Face's tokenizers), and checks that it and the role's `max_length` go
/// together: what the file declares of truncation and padding holds, so `max_length` must not say otherwise, and must
/// leave room for a token beside the special ones that are added to every text.
/// @param role with a tokenizer.
/// @param text the file's content.
/// @param file where it lies, for messages.
/// @throws std::runtime_error naming the role, both fields and their values.
Tokens read_tokens(const Role& role, std::string_view text, const std::filesystem::path& file);

}  // namespace brain2music::models
