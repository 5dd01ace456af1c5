#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "brain2music/retrieval/index.h"

/// The folder that an index is kept in.
namespace brain2music::retrieval {

struct IndexContents {
  at::Tensor vectors;
  std::vector<std::string> ids;
  IndexSource source;
};

/// Whether text can be written to a table of ours: UTF-8, not empty, no tab, line end or zero byte.
bool is_tabular(std::string_view text);

/// Whether text is UTF-8.
bool is_utf8(std::string_view text);

void write_index(const std::filesystem::path& folder, const IndexContents& contents);

IndexContents read_index(const std::filesystem::path& folder, bool verify);

}  // namespace brain2music::retrieval
