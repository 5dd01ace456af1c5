#include "brain2music/models/manifest.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "brain2music/check.h"
#include "brain2music/io/file.h"
#include "brain2music/io/json.h"
#include "brain2music/models/manifest_rules.h"
#include "brain2music/models/stage_rules.h"

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

constexpr std::array<std::pair<std::string_view, at::ScalarType>, 4> dtypes{
    {{"float32", at::kFloat}, {"bfloat16", at::kBFloat16}, {"float16", at::kHalf}, {"int8", at::kChar}}};

at::ScalarType dtype_of(const std::string& name) {
  return std::ranges::find(dtypes, name, [](const auto& each) { return each.first; })->second;
}

BundleFile file_of(const Json& object) { return {object.at("file"), object.at("sha256")}; }

ModelCard card_of(const Json& entry) {
  const Json& card = entry.at("card");
  ModelCard result{card.at("name"),     card.at("source"),       card.at("licence"),
                   card.at("replaces"), card.value("notes", ""), {}};
  for (const Json& each : card.value("figures", Json::array())) {
    result.figures.push_back({each.at("name"), each.at("value"), each.at("of"), optional_value<double>(each, "goal"),
                              optional_value<double>(each, "chance"), optional_value<double>(each, "oracle"),
                              each.value("at_most", false), each.value("reason", "")});
  }
  return result;
}

std::vector<at::ScalarType> dtypes_of(const Json& entry) {
  std::vector<at::ScalarType> types;
  for (const Json& dtype : entry.at("dtypes")) {
    types.push_back(dtype_of(dtype));
  }
  return types;
}

Role role_of(const std::string& name, const Json& entry) {
  Role role;
  role.name = name;
  role.file = file_of(entry);
  role.methods = entry.at("methods").get<std::vector<std::string>>();
  role.dtypes = dtypes_of(entry);
  role.card = card_of(entry);
  role.sample_rate = optional_value<int64_t>(entry, "sample_rate");
  role.frame_rate = optional_value<double>(entry, "frame_rate");
  role.window = optional_value<double>(entry, "window");
  role.dimension = optional_value<int64_t>(entry, "dimension");
  role.max_length = optional_value<int64_t>(entry, "max_length");
  role.levels = optional_value<int64_t>(entry, "levels");
  if (const auto vocabulary = entry.find("vocabulary"); vocabulary != entry.end()) {
    role.vocabularies = numbers_of_levels(*vocabulary, role.levels.value_or(1));
    role.vocabulary = std::ranges::max(role.vocabularies);
  }
  role.channels = optional_value<int64_t>(entry, "channels");
  if (const auto context = entry.find("context"); context != entry.end()) {
    role.context = CodecContext{context->at("past"), context->at("future")};
  }
  role.classes = entry.value("classes", role.classes);
  role.groups = entry.value("groups", role.groups);
  if (const auto tokenizer = entry.find("tokenizer"); tokenizer != entry.end()) {
    role.tokenizer = file_of(*tokenizer);
  }
  return role;
}

CodeOrder order_of(const Json& layout) {
  return layout.at("order") == "levels" ? CodeOrder::levels : CodeOrder::frames;
}

std::vector<PrefixPart> parts_of(const Json& parts, const Json& special) {
  std::vector<PrefixPart> result;
  for (const Json& each : parts) {
    PrefixPart part;
    if (const auto token = each.find("token"); token != each.end()) {
      part.token = special.at(token->get<std::string>()).get<int64_t>();
      part.count = each.value("count", int64_t{1});
    } else {
      part.from = each.at("from");
      part.order = order_of(each);
      part.offsets = each.at("offsets").get<std::vector<int64_t>>();
    }
    result.push_back(std::move(part));
  }
  return result;
}

Family family_of(const Json& entry) {
  const auto& name = entry.at("family").get_ref<const std::string&>();
  if (name == "frames") {
    return Family::frames;
  }
  return name == "parallel" ? Family::parallel : Family::tokens;
}

std::vector<Channel> channels_of(const Json& channels) {
  std::vector<Channel> result;
  for (const Json& each : channels) {
    Channel channel;
    channel.from = each.value("from", "");
    channel.code = each.value("code", channel.code);
    channel.count = each.value("count", channel.count);
    if (const auto guidance = each.find("guidance"); guidance != each.end()) {
      channel.guidance = GuidanceCodes{guidance->at("lowest"), guidance->at("step"), guidance->at("codes")};
    }
    result.push_back(std::move(channel));
  }
  return result;
}

Stage stage_of(const Json& entry) {
  Stage stage;
  stage.name = entry.at("name");
  stage.file = file_of(entry);
  stage.methods = entry.at("methods").get<std::vector<std::string>>();
  stage.dtypes = dtypes_of(entry);
  stage.card = card_of(entry);
  stage.family = family_of(entry);
  stage.frame_rate = entry.at("frame_rate");
  stage.codes = entry.at("codes").get<std::vector<int64_t>>();
  stage.vocabulary = entry.at("vocabulary");
  stage.max_length = entry.value("max_length", std::numeric_limits<int64_t>::max());
  stage.window = optional_value<double>(entry, "window");
  stage.overlap = entry.value("overlap", 0.0);
  stage.codec_levels = entry.value("codec_levels", std::vector<int64_t>());
  if (const auto condition = entry.find("condition"); condition != entry.end()) {
    stage.condition =
        StageCondition{condition->at("from") == "conditioner", optional_value<double>(*condition, "unconditional")};
  }
  const Json& sampling = entry.at("sampling");
  stage.sampling = {sampling.at("temperature"), sampling.value("top_k", int64_t{0}), sampling.value("top_p", 1.0),
                    sampling.value("guidance", 1.0)};
  const Json& layout = entry.at("layout");
  if (stage.family == Family::tokens) {
    const Json special = entry.value("special_tokens", Json::object());
    stage.prefix = parts_of(layout.at("prefix"), special);
    if (const auto other = layout.find("unconditional"); other != layout.end()) {
      stage.unconditional = parts_of(*other, special);
    }
    stage.order = order_of(layout);
    stage.offsets = layout.at("offsets").get<std::vector<int64_t>>();
    return stage;
  }
  if (stage.family == Family::frames) {
    stage.channels = channels_of(layout.at("channels"));
    stage.start = layout.at("start");
    return stage;
  }
  for (const Json& each : layout.value("given", Json::array())) {
    stage.given.push_back({each.at("from"), each.value("delay", int64_t{0})});
  }
  stage.delays = layout.at("delays").get<std::vector<int64_t>>();
  stage.pad = layout.at("pad");
  return stage;
}

GenerationSpace space_of(const Json& space, const Json& roles) {
  GenerationSpace result{space.at("dimension"), space.value("hashes", std::vector<std::string>())};
  for (const Json& role : space.at("roles")) {
    result.hashes.push_back(roles.at(role.get<std::string>()).at("sha256"));
  }
  return result;
}

}  // namespace

bool Role::has(std::string_view method) const { return std::ranges::find(methods, method) != methods.end(); }

double GuidanceCodes::highest() const { return lowest + (step * static_cast<double>(codes - 1)); }

std::optional<int64_t> GuidanceCodes::code(double guidance) const {
  constexpr double tolerance = 1e-9;  // of a step: -1 + 40 x 0.2 is a little more than 7
  const double place = (guidance - lowest) / step;
  const bool inside = place >= -tolerance && place <= static_cast<double>(codes - 1) + tolerance;
  return inside ? std::optional(static_cast<int64_t>(std::nearbyint(place))) : std::nullopt;
}

bool Stage::guided_by_codes() const {
  return std::ranges::any_of(channels, [](const Channel& channel) { return channel.guidance.has_value(); });
}

std::vector<std::string> Stage::sources() const {
  std::vector<std::string> names;
  const auto add = [&](const auto& parts) {
    for (const auto& part : parts) {
      if (!part.from.empty()) {
        names.push_back(part.from);
      }
    }
  };
  add(prefix);
  add(unconditional.value_or(std::vector<PrefixPart>()));
  add(given);
  add(channels);
  return names;
}

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
  Manifest manifest;
  manifest.name = parsed.at("name");
  manifest.description = parsed.at("description");
  manifest.text = std::string(map.bytes());
  for (const auto& [name, entry] : parsed.at("roles").items()) {
    manifest.roles.push_back(role_of(name, entry));
  }
  for (const Json& entry : parsed.value("stages", Json::array())) {
    manifest.stages.push_back(stage_of(entry));
  }
  if (const auto space = parsed.find("space"); space != parsed.end()) {
    manifest.space = space_of(*space, parsed.at("roles"));
  }
  return manifest;
}

}  // namespace brain2music::models
