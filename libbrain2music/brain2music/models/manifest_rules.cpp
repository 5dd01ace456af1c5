#include "brain2music/models/manifest_rules.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "brain2music/check.h"

namespace brain2music::models {
namespace {

using Json = nlohmann::json;

/// Where in the manifest one is: what messages name.
struct Place {
  std::string role;   // empty above the roles
  std::string field;  // e.g. "layout.prefix[2]"
  const std::filesystem::path* file;

  Place inside(const std::string& key) const { return {role, field.empty() ? key : field + "." + key, file}; }
  Place item(std::size_t i) const { return {role, field + "[" + std::to_string(i) + "]", file}; }

  [[noreturn]] void wrong(const std::string& expected, const std::string& found) const {
    const std::string named = role.empty() ? "" : "role '" + role + "'" + (field.empty() ? ": " : ", ");
    fail("models.bundle", named, field.empty() ? "" : "field '" + field + "': ", expected, " is expected; got ", found,
         " in ", file->string());
  }
  void expect(bool rule, const std::string& expected, const Json& found) const {
    if (!rule) [[unlikely]] {
      constexpr std::size_t shown = 80;
      const std::string text = found.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
      wrong(expected, text.size() > shown ? text.substr(0, shown) + "..." : text);
    }
  }
};

using Rule = std::function<void(const Json&, const Place&)>;

/// A key of an object: what its value keeps to, and whether it must be there: always, never, or with certain methods.
struct Field {
  enum Need : std::uint8_t { required, optional, with_methods };

  Field(std::string name, Rule keeps_to, Need is_needed = required, std::vector<std::string> of_methods = {})
      : key(std::move(name)), rule(std::move(keeps_to)), need(is_needed), methods(std::move(of_methods)) {}

  std::string key;
  Rule rule;
  Need need;
  std::vector<std::string> methods;
};

bool is_whole(const Json& value) {
  return value.is_number_integer() ||
         (value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>());
}

Rule whole(int64_t lowest, int64_t highest) {
  return [=](const Json& value, const Place& place) {
    const bool fits = is_whole(value) && value.get<double>() >= static_cast<double>(lowest) &&
                      value.get<double>() <= static_cast<double>(highest);
    place.expect(fits, "a whole number from " + std::to_string(lowest) + " to " + std::to_string(highest), value);
  };
}

std::string plain(double number) {
  std::ostringstream text;
  text << number;
  return text.str();
}

Rule number(double lowest, bool lowest_too, double highest) {
  return [=](const Json& value, const Place& place) {
    const double x = value.is_number() ? value.get<double>() : NAN;
    place.expect(
        (lowest_too ? x >= lowest : x > lowest) && x <= highest,
        std::string("a number ") + (lowest_too ? "from " : "above ") + plain(lowest) + ", at most " + plain(highest),
        value);
  };
}

void text(const Json& value, const Place& place) {
  place.expect(value.is_string() && !value.get_ref<const std::string&>().empty(), "text that is not empty", value);
}

void file_name(const Json& value, const Place& place) {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
  constexpr std::size_t longest = 100;
  const std::string name = value.is_string() ? value.get<std::string>() : "";
  const bool fits = !name.empty() && name.size() <= longest && letters.find(name.front()) != std::string_view::npos &&
                    name.find_first_not_of(std::string(letters) + ".-") == std::string::npos;
  place.expect(fits, "the name of a file in the bundle's own folder, of at most 100 letters, digits, '.', '_' and '-'",
               value);
}

void hash(const Json& value, const Place& place) {
  constexpr std::size_t digits = 64;
  const std::string name = value.is_string() ? value.get<std::string>() : "";
  place.expect(name.size() == digits && name.find_first_not_of("0123456789abcdef") == std::string::npos,
               "a SHA-256 of 64 lower-case hexadecimal digits", value);
}

bool is_among(const std::vector<std::string>& names, const Json& value) {
  return value.is_string() && std::ranges::find(names, value.get_ref<const std::string&>()) != names.end();
}

Rule one_of(std::vector<std::string> names) {
  return [names = std::move(names)](const Json& value, const Place& place) {
    std::string listed;
    for (const std::string& name : names) {
      listed += (listed.empty() ? "'" : ", '") + name + "'";
    }
    place.expect(is_among(names, value), "one of " + listed, value);
  };
}

Rule list_of(const Rule& item, std::size_t fewest = 1, bool unique = false) {
  return [=](const Json& value, const Place& place) {
    place.expect(value.is_array() && value.size() >= fewest,
                 fewest > 0 ? "a list that is not empty" : std::string("a list"), value);
    std::set<Json> seen;
    for (std::size_t i = 0; i < value.size(); ++i) {
      item(value[i], place.item(i));
      place.item(i).expect(!unique || seen.insert(value[i]).second, "an item that the list has not had", value[i]);
    }
  };
}

Rule map_of(const Rule& item) {
  return [=](const Json& value, const Place& place) {
    place.expect(value.is_object(), "an object", value);
    for (const auto& [key, each] : value.items()) {
      item(each, place.inside(key));
    }
  };
}

bool declares(const Json& object, const std::vector<std::string>& methods) {
  return std::ranges::any_of(object.at("methods"), [&](const Json& method) { return is_among(methods, method); });
}

void check_fields(const Json& value, const Place& place, const std::vector<Field>& fields) {
  place.expect(value.is_object(), "an object", value);
  for (const Field& field : fields) {
    const Place inside = place.inside(field.key);
    if (const auto found = value.find(field.key); found != value.end()) {
      field.rule(*found, inside);
    } else if (field.need == Field::required) {
      inside.wrong("a value", "none");
    } else if (field.need == Field::with_methods && declares(value, field.methods)) {
      std::string named;
      for (const std::string& method : field.methods) {
        named += (named.empty() ? "" : " or ") + method;
      }
      inside.wrong("a value beside the method " + named, "none");
    }
  }
  for (const auto& [key, each] : value.items()) {
    const bool known = std::ranges::any_of(fields, [&, name = &key](const Field& field) { return field.key == *name; });
    place.inside(key).expect(known, "a field that the schema knows", each);
  }
}

Rule object(std::vector<Field> fields) {
  return [fields = std::move(fields)](const Json& value, const Place& place) { check_fields(value, place, fields); };
}

constexpr int64_t most = 1'000'000'000;
const Rule count = whole(1, most);
const Rule id = whole(0, most);
const Rule hertz = whole(1, 768'000);
const Rule frames_a_second = number(0, false, 768'000);
const Rule seconds = number(0, false, 3600);

const std::vector<Field> file_fields{{"file", file_name}, {"sha256", hash}};

Rule methods(const std::vector<std::string>& names, bool all) {
  return [=](const Json& value, const Place& place) {
    list_of(one_of(names), 1, true)(value, place);
    place.expect(!all || value.size() == names.size(), "every method of the role", value);
  };
}

/// The fields of a role: those that all have, then its own.
std::vector<Field> role_fields(const std::vector<std::string>& method_names, std::initializer_list<Field> own,
                               bool all_methods = false) {
  const Rule card = object(
      {{"name", text}, {"source", text}, {"licence", text}, {"replaces", text}, {"notes", text, Field::optional}});
  std::vector<Field> fields = file_fields;
  fields.emplace_back("methods", methods(method_names, all_methods));
  fields.emplace_back("dtypes", list_of(one_of({"float32", "bfloat16", "float16"}), 1, true));
  fields.emplace_back("card", card);
  fields.insert(fields.end(), own);
  return fields;
}

const Rule order = one_of({"frames", "levels"});
const Rule offsets = list_of(id);

void part(const Json& value, const Place& place) {
  if (value.is_object() && value.contains("token")) {
    check_fields(value, place, {{"token", text}});
  } else {
    check_fields(value, place,
                 {{"from", one_of({"conditioner", "stage_semantic", "stage_coarse", "stage_fine"})},
                  {"order", order},
                  {"offsets", offsets}});
  }
}

std::vector<Field> stage_fields() {
  const Rule parts = list_of(part, 0);
  const Rule output =
      object({{"order", order}, {"offsets", offsets}, {"codes", count}, {"end", text, Field::optional}});
  const Rule sampling = object({{"temperature", number(0, true, 100)},
                                {"top_k", count, Field::optional},
                                {"top_p", number(0, false, 1), Field::optional},
                                {"guidance", number(0, true, 100), Field::optional}});
  return role_fields(
      {"init_state", "extend"},
      {{"frame_rate", frames_a_second},
       {"vocabulary", count},
       {"max_length", count},
       {"window", seconds, Field::optional},
       {"overlap", seconds, Field::optional},
       {"special_tokens", map_of(id), Field::optional},
       {"layout", object({{"prefix", parts}, {"unconditional", parts, Field::optional}, {"output", output}})},
       {"sampling", sampling}},
      /*all_methods=*/true);
}

/// The roles and their fields.
std::vector<std::pair<std::string, std::vector<Field>>> every_role() {
  const std::vector<Field> stage = stage_fields();
  const Rule names = list_of(text, 1, true);
  return {
      {"music_embedder", role_fields({"embed"}, {{"sample_rate", hertz}, {"window", seconds}, {"dimension", count}})},
      {"text_embedder",
       role_fields({"embed", "embed_ids"}, {{"window", seconds},
                                            {"dimension", count},
                                            {"max_length", count, Field::optional},
                                            {"tokenizer", object(file_fields), Field::with_methods, {"embed_ids"}}})},
      {"semantic_encoder",
       role_fields({"embed", "tokenize"}, {{"sample_rate", hertz},
                                           {"frame_rate", frames_a_second},
                                           {"window", seconds, Field::with_methods, {"embed"}},
                                           {"dimension", count, Field::with_methods, {"embed"}},
                                           {"vocabulary", count, Field::with_methods, {"tokenize"}}})},
      {"codec",
       role_fields({"embed", "encode", "decode"}, {{"sample_rate", hertz},
                                                   {"frame_rate", frames_a_second},
                                                   {"window", seconds, Field::with_methods, {"embed"}},
                                                   {"dimension", count, Field::with_methods, {"embed"}},
                                                   {"levels", count, Field::with_methods, {"encode", "decode"}},
                                                   {"vocabulary", count, Field::with_methods, {"encode", "decode"}}})},
      {"conditioner",
       role_fields({"quantize", "dequantize"}, {{"dimension", count}, {"levels", count}, {"vocabulary", count}})},
      {"stage_semantic", stage},
      {"stage_coarse", stage},
      {"stage_fine", stage},
      {"generator",
       role_fields({"generate"},
                   {{"sample_rate", hertz}, {"dimension", count}, {"max_seconds", seconds, Field::optional}})},
      {"tagger", role_fields({"tag"}, {{"sample_rate", hertz},
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
    check_fields(entry, {role, "", place.file}, found->second);
  }
}

// ---- what a schema cannot say
// ----------------------------------------------------------------------------------------

void check_parts(const Json& parts, const Place& place, const Json& special) {
  static const std::vector<std::string> sequence{"conditioner", "stage_semantic", "stage_coarse", "stage_fine"};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Place here = place.item(i);
    if (const auto token = parts[i].find("token"); token != parts[i].end()) {
      here.inside("token").expect(special.contains(token->get<std::string>()), "the name of a special token", *token);
    } else {
      const Json& from = parts[i].at("from");
      const std::vector<std::string> before(sequence.begin(), std::ranges::find(sequence, here.role));
      here.inside("from").expect(is_among(before, from), "a role that comes before", from);
    }
  }
}

void check_stage(const Json& stage, const Place& place) {
  const auto vocabulary = stage.at("vocabulary").get<int64_t>();
  const Json special = stage.value("special_tokens", Json::object());
  for (const auto& [name, token] : special.items()) {
    place.inside("special_tokens").inside(name).expect(token < vocabulary, "an id below the vocabulary", token);
  }
  const Json& layout = stage.at("layout");
  for (const std::string parts : {"prefix", "unconditional"}) {
    check_parts(layout.value(parts, Json::array()), place.inside("layout").inside(parts), special);
  }
  const Json& output = layout.at("output");
  const Place inside = place.inside("layout").inside("output");
  const auto codes = output.at("codes").get<int64_t>();
  for (const Json& offset : output.at("offsets")) {
    inside.inside("offsets").expect(offset.get<int64_t>() + codes <= vocabulary, "codes below the vocabulary", offset);
  }
  if (const auto end = output.find("end"); end != output.end()) {
    inside.inside("end").expect(special.contains(end->get<std::string>()), "the name of a special token", *end);
  }
  if (const auto overlap = stage.find("overlap"); overlap != stage.end()) {
    const bool shorter = stage.contains("window") && *overlap < stage.at("window");
    place.inside("overlap").expect(shorter, "less than the window's seconds", *overlap);
  }
}

void check_tagger(const Json& tagger, const Place& place) {
  const auto classes = tagger.at("classes").get<std::vector<std::string>>();
  const Json groups = tagger.value("groups", Json::object());
  for (const auto& [group, names] : groups.items()) {
    for (const Json& name : names) {
      place.inside("groups").inside(group).expect(is_among(classes, name), "one of the classes", name);
    }
  }
}

}  // namespace

void check_manifest(const Json& manifest, const std::filesystem::path& file) {
  const Rule version = [](const Json& value, const Place& place) { place.expect(value == 1, "version 1", value); };
  check_fields(manifest, {"", "", &file},
               {{"schema", version}, {"name", text}, {"description", text}, {"roles", check_roles}});
  for (const auto& [role, value] : manifest.at("roles").items()) {
    const Place place{role, "", &file};
    if (role.starts_with("stage_")) {
      check_stage(value, place);
    } else if (role == "tagger") {
      check_tagger(value, place);
    }
  }
}

}  // namespace brain2music::models
