#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

/// Errors read `[room.function] rule; got value`: bad input is std::invalid_argument (ValueError in Python), what the
/// machine or a file refused is std::runtime_error (RuntimeError).
namespace brain2music {

template <class... Parts>
std::string error_message(std::string_view where, const Parts&... parts) {
  std::ostringstream text;
  text << '[' << where << "] ";
  (text << ... << parts);
  return text.str();
}

/// Throws std::invalid_argument unless `rule` holds.
template <class... Parts>
void require(bool rule, std::string_view where, const Parts&... parts) {
  if (!rule) [[unlikely]] {
    throw std::invalid_argument(error_message(where, parts...));
  }
}

template <class... Parts>
[[noreturn]] void fail(std::string_view where, const Parts&... parts) {
  throw std::runtime_error(error_message(where, parts...));
}

}  // namespace brain2music
