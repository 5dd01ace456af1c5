#include "brain2music/models/manifest.h"

#include <algorithm>
#include <array>
#include <utility>

#include "brain2music/check.h"
#include "brain2music/io/file.h"
#include "brain2music/io/json.h"
#include "brain2music/models/manifest_rules.h"

namespace brain2music::models {
namespace {

using Json = nlohmann::json;

constexpr auto where = "models.bundle";
constexpr std::size_t longest_manifest = std::size_t{1} << 24;

template <class T>
std::optional<T> optional_value(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? std::nullopt : std::optional(found->get<T>());
}

constexpr std::array<std::pair<std::string_view, at::ScalarType>, 3> dtypes{
    {{"float32", at::kFloat}, {"bfloat16", at::kBFloat16}, {"float16", at::kHalf}}};

at::ScalarType dtype_of(const std::string& name) {
  return std::ranges::find(dtypes, name, [](const auto& each) { return each.first; })->second;
}

BundleFile file_of(const Json& object) { return {object.at("file"), object.at("sha256")}; }

Role role_of(const std::string& name, const Json& entry) {
  const Json& card = entry.at("card");
  Role role;
  role.name = name;
  role.file = file_of(entry);
  role.methods = entry.at("methods").get<std::vector<std::string>>();
  for (const Json& dtype : entry.at("dtypes")) {
    role.dtypes.push_back(dtype_of(dtype));
  }
  role.card = {card.at("name"), card.at("source"), card.at("licence"), card.at("replaces"), card.value("notes", "")};
  role.sample_rate = optional_value<int64_t>(entry, "sample_rate");
  role.frame_rate = optional_value<double>(entry, "frame_rate");
  role.window = optional_value<double>(entry, "window");
  role.dimension = optional_value<int64_t>(entry, "dimension");
  role.max_length = optional_value<int64_t>(entry, "max_length");
  role.levels = optional_value<int64_t>(entry, "levels");
  role.vocabulary = optional_value<int64_t>(entry, "vocabulary");
  if (const auto classes = entry.find("classes"); classes != entry.end()) {
    role.classes = static_cast<int64_t>(classes->size());
  }
  if (const auto tokenizer = entry.find("tokenizer"); tokenizer != entry.end()) {
    role.tokenizer = file_of(*tokenizer);
  }
  return role;
}

}  // namespace

bool Role::has(std::string_view method) const { return std::ranges::find(methods, method) != methods.end(); }

std::string dtype_name(at::ScalarType dtype) {
  const auto* const known = std::ranges::find(dtypes, dtype, [](const auto& each) { return each.second; });
  return known == dtypes.end() ? c10::toString(dtype) : std::string(known->first);
}

Manifest read_manifest(const std::filesystem::path& file) {
  const io::MappedFile map(file, where);
  if (map.bytes().size() > longest_manifest) {
    fail(where, "a manifest is of at most 16 MiB; got ", map.bytes().size(), " bytes in ", file.string());
  }
  const Json parsed = io::parse_json(map.bytes(), where, file);
  check_manifest(parsed, file);
  Manifest manifest{parsed.at("name"), parsed.at("description"), {}, {}, std::nullopt, std::string(map.bytes())};
  for (const auto& [name, entry] : parsed.at("roles").items()) {
    manifest.roles.push_back(role_of(name, entry));
  }
  return manifest;
}

}  // namespace brain2music::models
