#include "brain2music/models/manifest_rules.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "brain2music/models/field_rules.h"
#include "brain2music/models/stage_rules.h"

namespace brain2music::models {
namespace {

using Json = nlohmann::json;

const Rule hertz = whole(1, 768'000);
const Rule names = list_of(text, 1, true);
const std::vector<std::string> embedding_roles{"music_embedder", "text_embedder", "semantic_encoder", "codec"};

void vocabulary(const Json& value, const Place& place) {
  if (value.is_array()) {
    list_of(count)(value, place);
  } else {
    count(value, place);
  }
}

void channels(const Json& value, const Place& place) { place.expect(value == 1 || value == 2, "1 or 2", value); }

/// The roles and their fields.
std::vector<std::pair<std::string, std::vector<Field>>> every_role() {
  const Rule context = object({{"past", id}, {"future", id}});
  return {{"music_embedder",
           network_fields({"embed"}, {{"sample_rate", hertz}, {"window", seconds}, {"dimension", count}})},
          {"text_embedder", network_fields({"embed", "embed_ids"},
                                           {{"window", seconds},
                                            {"dimension", count},
                                            {"max_length", count, Field::optional},
                                            {"tokenizer", object(file_fields()), Field::with_methods, {"embed_ids"}}})},
          {"semantic_encoder",
           network_fields({"embed", "tokenize"}, {{"sample_rate", hertz},
                                                  {"frame_rate", frames_a_second},
                                                  {"window", seconds, Field::with_methods, {"embed"}},
                                                  {"dimension", count, Field::with_methods, {"embed"}},
                                                  {"vocabulary", count, Field::with_methods, {"tokenize"}}})},
          {"codec", network_fields({"embed", "encode", "decode"},
                                   {{"sample_rate", hertz},
                                    {"frame_rate", frames_a_second},
                                    {"window", seconds, Field::with_methods, {"embed"}},
                                    {"dimension", count, Field::with_methods, {"embed"}},
                                    {"levels", count, Field::with_methods, {"encode", "decode"}},
                                    {"vocabulary", vocabulary, Field::with_methods, {"encode", "decode"}},
                                    {"channels", channels, Field::with_methods, {"encode", "decode"}},
                                    {"context", context, Field::optional}})},
          {"conditioner", network_fields({"quantize", "dequantize"},
                                         {{"dimension", count}, {"levels", count}, {"vocabulary", vocabulary}})},
          {"generator",
           network_fields({"generate"},
                          {{"sample_rate", hertz}, {"dimension", count}, {"max_seconds", seconds, Field::optional}})},
          {"tagger", network_fields({"tag"}, {{"sample_rate", hertz},
                                              {"window", seconds},
                                              {"classes", names},
                                              {"groups", map_of(names), Field::optional}})}};
}

void check_roles(const Json& roles, const Place& place) {
  static const auto known = every_role();
  place.expect(roles.is_object() && !roles.empty(), "an object of one role or more", roles);
  for (const auto& [role, entry] : roles.items()) {
    const auto found = std::ranges::find(known, role, [](const auto& each) { return each.first; });
    place.inside(role).expect(found != known.end(), "a role that the schema knows", entry);
    check_fields(entry, {"role '" + role + "'", "", place.file}, found->second);
  }
}

// ---- what a schema cannot say: that names and numbers fit each other
// -------------------------------------------------

void check_tagger(const Json& tagger, const Place& place) {
  const auto classes = tagger.at("classes").get<std::vector<std::string>>();
  const Json groups = tagger.value("groups", Json::object());
  for (const auto& [group, of_group] : groups.items()) {
    for (const Json& name : of_group) {
      place.inside("groups").inside(group).expect(is_among(classes, name), "one of the classes", name);
    }
  }
}

void check_levels(const Json& role, const Place& place) {
  const auto numbers = role.find("vocabulary");
  if (numbers != role.end() && numbers->is_array()) {
    const bool fits = role.contains("levels") && numbers->size() == role.at("levels").get<std::size_t>();
    place.inside("vocabulary").expect(fits, "one number for each of the levels", *numbers);
  }
}

void check_space(const Json& manifest, const Place& place) {
  const auto space = manifest.find("space");
  if (space == manifest.end()) {
    place.inside("space").expect(!manifest.at("roles").contains("generator"), "a value beside the role generator",
                                 nullptr);
    return;
  }
  const Place inside = place.inside("space");
  const Json& roles = manifest.at("roles");
  const Json& members = space->at("roles");
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto found = roles.find(members[i].get<std::string>());
    const bool embeds = found != roles.end() && found->value("dimension", Json()) == space->at("dimension");
    inside.inside("roles").item(i).expect(embeds, "a role of this bundle that embeds into as many dimensions",
                                          members[i]);
  }
  for (const std::string name : {"conditioner", "generator"}) {
    if (const auto found = roles.find(name); found != roles.end()) {
      const Place of_role{"role '" + name + "'", "", place.file};
      of_role.inside("dimension")
          .expect(found->at("dimension") == space->at("dimension"), "the dimension of 'space'", found->at("dimension"));
    }
  }
}

}  // namespace

void check_manifest(const Json& manifest, const std::filesystem::path& file) {
  const Place place{"", "", &file};
  const Rule version = [](const Json& value, const Place& here) { here.expect(value == 1, "version 1", value); };
  const Rule space = object({{"dimension", count},
                             {"roles", list_of(one_of(embedding_roles), 0, true)},
                             {"hashes", list_of(hash, 1, true), Field::optional}});
  check_fields(manifest, place,
               {{"schema", version},
                {"name", text},
                {"description", text},
                {"space", space, Field::optional},
                {"stages", check_stages, Field::optional},
                {"roles", check_roles}});
  if (manifest.contains("stages") && !manifest.contains("space")) {
    place.inside("space").wrong("a value beside 'stages'", "none");
  }
  for (const auto& [role, value] : manifest.at("roles").items()) {
    const Place of_role{"role '" + role + "'", "", &file};
    check_levels(value, of_role);
    if (role == "tagger") {
      check_tagger(value, of_role);
    }
  }
  check_space(manifest, place);
  check_stages_fit(manifest, place);
}

}  // namespace brain2music::models
