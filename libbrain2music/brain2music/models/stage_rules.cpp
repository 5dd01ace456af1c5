#include "brain2music/models/stage_rules.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>

#include "brain2music/models/manifest.h"

namespace brain2music::models {
namespace {

using Json = nlohmann::json;
using Numbers = std::vector<int64_t>;

const Rule order = one_of({"frames", "levels"});

void part(const Json& value, const Place& place) {
  if (value.is_object() && value.contains("token")) {
    check_fields(value, place, {{"token", text}, {"count", count, Field::optional}});
  } else {
    check_fields(value, place, {{"from", text}, {"order", order}, {"offsets", list_of(id)}});
  }
}

const Rule code_or_mask = whole(-1, largest_number);

/// Columns of what the family frames gives to `source`.
void channel(const Json& value, const Place& place) {
  constexpr int64_t most_columns = 65536;
  constexpr double most = 100;
  const auto has = [&](const char* key) { return value.is_object() && value.contains(key); };
  if (has("code")) {
    check_fields(value, place, {{"code", code_or_mask}, {"count", whole(1, most_columns), Field::optional}});
  } else if (has("guidance")) {
    const Rule codes =
        object({{"lowest", number(-most, true, most)}, {"step", number(0, false, most)}, {"codes", count}});
    check_fields(value, place, {{"guidance", codes}});
  } else {
    check_fields(value, place, {{"from", text}});
  }
}

void stage_name(const Json& value, const Place& place) {
  constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz";
  constexpr std::size_t longest = 50;
  const std::string name = value.is_string() ? value.get<std::string>() : "";
  const bool fits = !name.empty() && name.size() <= longest && letters.find(name.front()) != std::string_view::npos &&
                    name.find_first_not_of(std::string(letters) + "0123456789_") == std::string::npos;
  place.expect(fits, "a name of at most 50 small letters, digits and '_'", value);
}

std::vector<Field> fields_of(const std::string& family) {
  const Rule parts = list_of(part);
  const Rule given = list_of(object({{"from", text}, {"delay", id, Field::optional}}), 0);
  const bool tokens = family == "tokens";
  const bool frames = family == "frames";
  Rule layout = object({{"given", given, Field::optional}, {"delays", list_of(id)}, {"pad", id}});
  if (tokens) {
    layout = object(
        {{"prefix", parts}, {"unconditional", parts, Field::optional}, {"order", order}, {"offsets", list_of(id)}});
  } else if (frames) {
    layout = object({{"channels", list_of(channel)}, {"start", code_or_mask}});
  }
  std::vector<Field> of_condition{{"from", one_of({"embedding", "conditioner"})}};
  if (!frames) {
    of_condition.emplace_back("unconditional", number(-1e6, true, 1e6), Field::optional);
  }
  const Rule condition = object(of_condition);
  const Rule sampling = object({{"temperature", number(0, true, 100)},
                                {"top_k", count, Field::optional},
                                {"top_p", number(0, false, 1), Field::optional},
                                {"guidance", number(0, true, 100), Field::optional}});
  std::vector<Field> fields = network_fields(stage_methods(family),
                                             {{"name", stage_name},
                                              {"family", one_of({"tokens", "parallel", "frames"})},
                                              {"frame_rate", frames_a_second},
                                              {"codes", list_of(count)},
                                              {"vocabulary", count},
                                              {"max_length", count, frames ? Field::optional : Field::required},
                                              {"window", seconds, Field::optional},
                                              {"overlap", seconds, Field::optional},
                                              {"condition", condition, Field::optional},
                                              {"codec_levels", list_of(id, 1, true), Field::optional},
                                              {"layout", layout},
                                              {"sampling", sampling}},
                                             /*of_stage=*/true);
  if (tokens) {
    fields.emplace_back("special_tokens", map_of(id), Field::optional);
  }
  return fields;
}

std::string owner_of(const Json& stage) { return "stage '" + stage.at("name").get<std::string>() + "'"; }

/// Whether so many seconds are whole frames.
bool is_whole_frames(double seconds, double rate) {
  constexpr double tolerance = 1e-6;
  const double frames = seconds * rate;
  return std::abs(frames - std::round(frames)) < tolerance;
}

/// What a stage can read: the conditioner or a stage before it.
struct Source {
  Numbers codes;          // of each level
  double frame_rate = 0;  // 0 for the conditioner, whose one frame holds for all of the music
};

class StageFit {
 public:
  StageFit(const Json& stage, const std::map<std::string, Source>& sources, const Place& file)
      : stage_(stage),
        sources_(sources),
        place_{owner_of(stage), "", file.file},
        codes_(stage.at("codes").get<Numbers>()),
        vocabulary_(stage.at("vocabulary").get<int64_t>()),
        rate_(stage.at("frame_rate").get<double>()) {}

  void check() {
    const Json& layout = stage_.at("layout");
    const Place inside = place_.inside("layout");
    check_windows(rate_);
    int64_t positions = 0;
    bool unconditional = false;
    if (stage_.at("family") == "tokens") {
      special_ = stage_.value("special_tokens", Json::object());
      for (const auto& [name, token] : special_.items()) {
        place_.inside("special_tokens").inside(name).expect(token < vocabulary_, "an id below the vocabulary", token);
      }
      check_offsets(layout.at("offsets"), inside.inside("offsets"));
      positions = check_parts(layout.at("prefix"), inside.inside("prefix")) +
                  window_frames(rate_) * static_cast<int64_t>(codes_.size());
      if (const auto other = layout.find("unconditional"); other != layout.end()) {
        check_parts(*other, inside.inside("unconditional"));
        unconditional = true;
      }
    } else if (stage_.at("family") == "frames") {
      positions = window_frames(rate_);
      check_codes();
      check_channels(layout.at("channels"), inside.inside("channels"));
    } else {
      positions = window_frames(rate_) + 1 + check_delays(layout, inside);
    }
    if (stage_.contains("window") && stage_.contains("max_length")) {
      place_.inside("max_length")
          .expect(stage_.at("max_length") >= positions,
                  "room for the " + std::to_string(positions) + " positions of a window", stage_.at("max_length"));
    }
    unconditional = check_condition() || unconditional;
    check_sampling(unconditional);
  }

 private:
  int64_t window_frames(double rate) const { return std::llround(stage_.value("window", 0.0) * rate); }

  void check_windows(double rate) const {
    for (const std::string field : {"window", "overlap"}) {
      if (const auto given = stage_.find(field); given != stage_.end()) {
        place_.inside(field).expect(is_whole_frames(given->get<double>(), rate),
                                    "whole frames at every frame rate that the stage reads and makes", *given);
      }
    }
    if (const auto overlap = stage_.find("overlap"); overlap != stage_.end()) {
      const bool shorter = stage_.contains("window") && *overlap < stage_.at("window");
      place_.inside("overlap").expect(shorter, "less than the window's seconds", *overlap);
    }
  }

  const Source& source(const Json& name, const Place& place) const {
    const auto found = sources_.find(name.get<std::string>());
    place.expect(found != sources_.end(), "the conditioner or a stage that comes before", name);
    if (found->second.frame_rate > 0) {
      check_windows(found->second.frame_rate);
    }
    return found->second;
  }

  void check_offsets(const Json& offsets, const Place& place) const {
    place.expect(offsets.size() == codes_.size(), "as many offsets as there are levels in 'codes'", offsets);
    for (std::size_t level = 0; level < codes_.size(); ++level) {
      place.expect(offsets[level].get<int64_t>() + codes_[level] <= vocabulary_, "codes below the vocabulary",
                   offsets[level]);
    }
  }

  /// @return tokens of a window's prefix
  int64_t check_parts(const Json& parts, const Place& place) const {
    int64_t tokens = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const Json& each = parts[i];
      const Place here = place.item(i);
      if (const auto token = each.find("token"); token != each.end()) {
        here.inside("token").expect(special_.contains(token->get<std::string>()), "the name of a special token",
                                    *token);
        tokens += each.value("count", int64_t{1});
        continue;
      }
      const Source& from = source(each.at("from"), here.inside("from"));
      const Json& offsets = each.at("offsets");
      here.inside("offsets").expect(offsets.size() <= from.codes.size(),
                                    "at most as many offsets as the source has levels", offsets);
      for (std::size_t level = 0; level < offsets.size(); ++level) {
        here.inside("offsets").expect(offsets[level].get<int64_t>() + from.codes[level] <= vocabulary_,
                                      "codes below the vocabulary", offsets[level]);
      }
      tokens += static_cast<int64_t>(offsets.size()) * (from.frame_rate > 0 ? window_frames(from.frame_rate) : 1);
    }
    return tokens;
  }

  void check_codes() const {
    for (const int64_t codes : codes_) {
      place_.inside("codes").expect(codes <= vocabulary_, "codes below the vocabulary", codes);
    }
  }

  void check_channels(const Json& channels, const Place& place) {
    for (std::size_t i = 0; i < channels.size(); ++i) {
      if (const auto from = channels[i].find("from"); from != channels[i].end()) {
        (void)source(*from, place.item(i).inside("from"));
      } else if (const auto guidance = channels[i].find("guidance"); guidance != channels[i].end()) {
        guided_.push_back({guidance->at("lowest"), guidance->at("step"), guidance->at("codes")});
      }
    }
  }

  /// @return the largest delay of an own level
  int64_t check_delays(const Json& layout, const Place& place) const {
    const auto delays = layout.at("delays").get<Numbers>();
    place.inside("delays").expect(delays.size() == codes_.size(), "as many delays as there are levels in 'codes'",
                                  layout.at("delays"));
    check_codes();
    const Json given = layout.value("given", Json::array());
    for (std::size_t i = 0; i < given.size(); ++i) {
      (void)source(given[i].at("from"), place.inside("given").item(i).inside("from"));
    }
    return *std::ranges::max_element(delays);
  }

  /// @return whether guidance's other half is told by the condition
  bool check_condition() const {
    const auto condition = stage_.find("condition");
    if (condition == stage_.end()) {
      return false;
    }
    const Place place = place_.inside("condition");
    const auto other = condition->find("unconditional");
    if (condition->at("from") == "conditioner") {
      const Source& from = source(condition->at("from"), place.inside("from"));
      if (other != condition->end()) {
        const double code = other->get<double>();
        const bool fits = code >= 0 && code == std::floor(code) && std::ranges::all_of(from.codes, [=](int64_t codes) {
                            return code <= static_cast<double>(codes);
                          });
        place.inside("unconditional").expect(fits, "a code of the conditioner, or the id behind its codes", *other);
      }
    }
    return other != condition->end();
  }

  void check_sampling(bool unconditional) const {
    const Json& sampling = stage_.at("sampling");
    const Place place = place_.inside("sampling");
    const Json guidance = sampling.value("guidance", Json(1));
    for (const GuidanceCodes& codes : guided_) {
      place.inside("guidance")
          .expect(codes.code(guidance.get<double>()).has_value(), "a guidance that the layout has a code for",
                  guidance);
    }
    place.inside("guidance")
        .expect(unconditional || !guided_.empty() || guidance == 1, "1 where nothing says what is unconditional",
                guidance);
    if (const auto top_k = sampling.find("top_k"); top_k != sampling.end()) {
      place.inside("top_k").expect(*top_k <= vocabulary_, "at most the vocabulary", *top_k);
    }
  }

  const Json& stage_;
  const std::map<std::string, Source>& sources_;
  Place place_;
  Numbers codes_;
  int64_t vocabulary_;
  double rate_;
  Json special_ = Json::object();
  std::vector<GuidanceCodes> guided_;
};

/// Checks that the stages fill every level of the codec once.
class CodecFit {
 public:
  CodecFit(const Json& roles, const Place& file) : file_(file.file) {
    if (const auto codec = roles.find("codec"); codec != roles.end() && codec->contains("levels")) {
      rate_ = codec->at("frame_rate").get<double>();
      codes_ = numbers_of_levels(codec->at("vocabulary"), codec->at("levels").get<int64_t>());
      filled_.resize(codes_.size());
    }
  }

  void add(const Json& stage) {
    const auto levels = stage.find("codec_levels");
    if (levels == stage.end()) {
      return;
    }
    any_ = true;
    const Place place = Place{owner_of(stage), "", file_}.inside("codec_levels");
    const auto codes = stage.at("codes").get<Numbers>();
    place.expect(levels->size() == codes.size(), "as many levels as there are in 'codes'", *levels);
    for (std::size_t i = 0; i < codes.size(); ++i) {
      const auto level = (*levels)[i].get<std::size_t>();
      place.item(i).expect(level < codes_.size(), "a level of the role 'codec'", (*levels)[i]);
      place.item(i).expect(!filled_[level], "a level that no stage before makes", (*levels)[i]);
      place.item(i).expect(codes[i] <= codes_[level], "no more codes than the codec's level has", codes[i]);
      filled_[level] = true;
    }
    Place{owner_of(stage), "", file_}
        .inside("frame_rate")
        .expect(stage.at("frame_rate").get<double>() == rate_, "the codec's frame rate", stage.at("frame_rate"));
  }

  void finish() const {
    for (std::size_t level = 0; any_ && level < filled_.size(); ++level) {
      Place{"role 'codec'", "", file_}.inside("levels").expect(filled_[level],
                                                               "levels that the stages make, all of them", level);
    }
  }

 private:
  const std::filesystem::path* file_;
  double rate_ = 0;
  Numbers codes_;
  std::vector<bool> filled_;
  bool any_ = false;
};

}  // namespace

std::vector<std::string> stage_methods(const std::string& family) {
  if (family == "frames") {
    return {"init_state", "source", "temporal", "depth_first", "depth_next"};
  }
  return {"init_state", "extend"};
}

std::vector<int64_t> numbers_of_levels(const Json& value, int64_t levels) {
  return value.is_array() ? value.get<Numbers>() : Numbers(static_cast<std::size_t>(levels), value.get<int64_t>());
}

void check_stages(const Json& stages, const Place& place) {
  static const std::map<std::string, std::vector<Field>> fields{
      {"tokens", fields_of("tokens")}, {"parallel", fields_of("parallel")}, {"frames", fields_of("frames")}};
  list_of([](const Json& value, const Place& here) {
    const bool named = value.is_object() && value.contains("name");
    if (named) {
      stage_name(value.at("name"), here.inside("name"));
    }
    const Json family = value.is_object() ? value.value("family", Json()) : Json();
    const auto known = fields.find(family.is_string() ? family.get<std::string>() : "");
    check_fields(value, named ? Place{owner_of(value), "", here.file} : here,
                 known == fields.end() ? fields.at("tokens") : known->second);
  })(stages, place);
}

void check_stages_fit(const Json& manifest, const Place& place) {
  const Json& roles = manifest.at("roles");
  const auto stages = manifest.find("stages");
  if (stages == manifest.end()) {
    return;
  }
  place.inside("roles").expect(!roles.contains("generator"), "stages or a generator, not both", "generator");
  std::map<std::string, Source> sources;
  if (const auto conditioner = roles.find("conditioner"); conditioner != roles.end()) {
    const auto levels = conditioner->at("levels").get<int64_t>();
    sources["conditioner"] = {numbers_of_levels(conditioner->at("vocabulary"), levels), 0};
  }
  CodecFit codec(roles, place);
  for (std::size_t i = 0; i < stages->size(); ++i) {
    const Json& stage = (*stages)[i];
    const auto name = stage.at("name").get<std::string>();
    const bool fresh = !roles.contains(name) && name != "conditioner" && name != "embedding" && !sources.contains(name);
    place.inside("stages").item(i).inside("name").expect(fresh, "a name that no role and no other stage has", name);
    StageFit(stage, sources, place).check();
    codec.add(stage);
    sources[name] = {stage.at("codes").get<Numbers>(), stage.at("frame_rate").get<double>()};
  }
  codec.finish();
}

}  // namespace brain2music::models
