#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace brain2music::models {

/// Where in a manifest one is: messages name it.
struct Place {
  std::string owner;  ///< e.g. "role 'codec'" or "stage 'coarse'"; empty outside roles and stages
  std::string field;  ///< e.g. "layout.prefix[2]"
  const std::filesystem::path* file;

  Place inside(const std::string& key) const { return {owner, field.empty() ? key : field + "." + key, file}; }
  Place item(std::size_t i) const { return {owner, field + "[" + std::to_string(i) + "]", file}; }

  /// Throws std::runtime_error that names owner, field, what was expected and what was found.
  [[noreturn]] void wrong(const std::string& expected, const std::string& found) const;

  /// Throws unless `rule` holds.
  void expect(bool rule, const std::string& expected, const nlohmann::json& found) const;
};

/// Checks a value at a place.
using Rule = std::function<void(const nlohmann::json&, const Place&)>;

/// A key of an object: the rule that its value keeps to, and whether it must be there: always, never, or with certain
/// methods.
struct Field {
  enum Need : std::uint8_t { required, optional, with_methods };

  Field(std::string name, Rule keeps_to, Need is_needed = required, std::vector<std::string> of_methods = {})
      : key(std::move(name)), rule(std::move(keeps_to)), need(is_needed), methods(std::move(of_methods)) {}

  std::string key;
  Rule rule;
  Need need;
  std::vector<std::string> methods;
};

/// Whether a value is one of these texts.
bool is_among(const std::vector<std::string>& names, const nlohmann::json& value);

void text(const nlohmann::json& value, const Place& place);

Rule whole(int64_t lowest, int64_t highest);
Rule number(double lowest, bool lowest_too, double highest);
Rule one_of(std::vector<std::string> names);
Rule list_of(const Rule& item, std::size_t fewest = 1, bool unique = false);
Rule map_of(const Rule& item);
Rule object(std::vector<Field> fields);

/// Checks that an object has the fields that it must have, that each keeps to its rule, and that it has no others.
void check_fields(const nlohmann::json& value, const Place& place, const std::vector<Field>& fields);

constexpr int64_t largest_number = 1'000'000'000;
inline const Rule count = whole(1, largest_number);
inline const Rule id = whole(0, largest_number);
inline const Rule frames_a_second = number(0, false, 768'000);
inline const Rule seconds = number(0, false, 3600);

/// `file` and `sha256`.
const std::vector<Field>& file_fields();

/// A SHA-256 of 64 lower-case hexadecimal digits.
void hash(const nlohmann::json& value, const Place& place);

/// The fields of a network: those that all have, then its own.
/// @param method_names the methods that it may have
/// @param own          its own fields
/// @param of_stage     it must have all of them, and its weights may be int8
std::vector<Field> network_fields(const std::vector<std::string>& method_names, std::initializer_list<Field> own,
                                  bool of_stage = false);

}  // namespace brain2music::models
