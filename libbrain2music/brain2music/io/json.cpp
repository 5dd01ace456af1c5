#include "brain2music/io/json.h"

#include <set>
#include <string>
#include <vector>

#include "brain2music/check.h"

namespace brain2music::io {
namespace {

using Event = nlohmann::json::parse_event_t;

constexpr int deepest = 32;  // deeper values would be walked by recursion, later

/// The library's words without its "[json.exception.parse_error.101] ".
std::string_view bare(std::string_view message) {
  const auto end = message.find("] ");
  return end == std::string_view::npos ? message : message.substr(end + 2);
}

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view where, const std::filesystem::path& file) {
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int depth, Event event, const nlohmann::json& parsed) {
    if (depth > deepest) {
      fail(where, "JSON must not be nested deeper than ", deepest, "; got more in ", file.string());
    }
    if (event == Event::object_start) {
      keys.emplace_back();
    } else if (event == Event::object_end) {
      keys.pop_back();
    } else if (event == Event::key && !keys.back().insert(parsed.get<std::string>()).second) {
      fail(where, "a key must stand once in its object; got ", parsed.dump(), " twice in ", file.string());
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text.begin(), text.end(), check);
  } catch (const nlohmann::json::exception& error) {
    fail(where, "the text must be JSON; got '", bare(error.what()), "' in ", file.string());
  }
}

}  // namespace brain2music::io
