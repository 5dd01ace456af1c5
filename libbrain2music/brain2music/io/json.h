#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

namespace brain2music::io {

/// Parses JSON strictly: one value, no key twice, no nesting deeper than 32.
/// @throws std::runtime_error, signed `where`, naming the file and what is wrong with it.
nlohmann::json parse_json(std::string_view text, std::string_view where, const std::filesystem::path& file);

}  // namespace brain2music::io
