#include "brain2music/models/field_rules.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "brain2music/check.h"

namespace brain2music::models {
namespace {

using Json = nlohmann::json;

bool is_whole(const Json& value) {
  return value.is_number_integer() ||
         (value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>());
}

std::string plain(double number) {
  std::ostringstream text;
  text << number;
  return text.str();
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

bool declares(const Json& object, const std::vector<std::string>& methods) {
  return std::ranges::any_of(object.at("methods"), [&](const Json& method) { return is_among(methods, method); });
}

void boolean(const Json& value, const Place& place) { place.expect(value.is_boolean(), "true or false", value); }

void figure(const Json& value, const Place& place) {
  constexpr double largest = 1e12;
  const Rule any = number(-largest, true, largest);
  check_fields(value, place,
               {{"name", text},
                {"value", any},
                {"of", text},
                {"goal", any, Field::optional},
                {"chance", any, Field::optional},
                {"oracle", any, Field::optional},
                {"at_most", boolean, Field::optional},
                {"reason", text, Field::optional}});
  for (const std::string key : {"at_most", "reason"}) {
    if (value.contains(key) && !value.contains("goal")) {
      place.inside("goal").wrong("a value beside '" + key + "'", "none");
    }
  }
}

Rule methods(const std::vector<std::string>& names, bool all) {
  return [=](const Json& value, const Place& place) {
    list_of(one_of(names), 1, true)(value, place);
    place.expect(!all || value.size() == names.size(), "every method of the network", value);
  };
}

}  // namespace

void Place::wrong(const std::string& expected, const std::string& found) const {
  fail("models.bundle", owner, owner.empty() || field.empty() ? "" : ", ", field.empty() ? "" : "field '" + field + "'",
       owner.empty() && field.empty() ? "" : ": ", expected, " is expected; got ", found, " in ", file->string());
}

void Place::expect(bool rule, const std::string& expected, const Json& found) const {
  if (!rule) [[unlikely]] {
    constexpr std::size_t shown = 80;
    const std::string text = found.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace);
    wrong(expected, text.size() > shown ? text.substr(0, shown) + "..." : text);
  }
}

Rule whole(int64_t lowest, int64_t highest) {
  return [=](const Json& value, const Place& place) {
    const bool fits = is_whole(value) && value.get<double>() >= static_cast<double>(lowest) &&
                      value.get<double>() <= static_cast<double>(highest);
    place.expect(fits, "a whole number from " + std::to_string(lowest) + " to " + std::to_string(highest), value);
  };
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

Rule list_of(const Rule& item, std::size_t fewest, bool unique) {
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

const std::vector<Field>& file_fields() {
  static const std::vector<Field> fields{{"file", file_name}, {"sha256", hash}};
  return fields;
}

std::vector<Field> network_fields(const std::vector<std::string>& method_names, std::initializer_list<Field> own,
                                  bool of_stage) {
  const Rule card = object({{"name", text},
                            {"source", text},
                            {"licence", text},
                            {"replaces", text},
                            {"notes", text, Field::optional},
                            {"figures", list_of(figure), Field::optional}});
  std::vector<Field> fields = file_fields();
  fields.emplace_back("methods", methods(method_names, of_stage));
  const Rule dtype =
      of_stage ? one_of({"float32", "bfloat16", "float16", "int8"}) : one_of({"float32", "bfloat16", "float16"});
  fields.emplace_back("dtypes", list_of(dtype, 1, true));
  fields.emplace_back("card", card);
  fields.insert(fields.end(), own);
  return fields;
}

}  // namespace brain2music::models
