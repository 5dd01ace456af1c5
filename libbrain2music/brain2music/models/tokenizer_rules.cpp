#include "brain2music/models/tokenizer_rules.h"

#include <algorithm>
#include <optional>
#include <string>

#include "brain2music/check.h"
#include "brain2music/io/json.h"

namespace brain2music::models {
namespace {

using Json = nlohmann::json;

constexpr auto where = "models.bundle";

/// What `tokenizer.json` declares of the length of texts.
struct Lengths {
  int64_t special = 0;  ///< tokens added to every text
  std::optional<int64_t> cut;
  int64_t stride = 0;
  std::optional<int64_t> padded;  ///< to a fixed length
  int64_t multiple = 1;           ///< that a padded length is rounded up to
};

// NOLINTNEXTLINE(misc-no-recursion): a sequence of processors
int64_t special_tokens(const Json& processor) {
  if (!processor.is_object()) {
    return 0;
  }
  const std::string type = processor.value("type", "");
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    return 2;  // one before, one after
  }
  int64_t count = 0;
  if (type == "Sequence") {
    for (const Json& each : processor.at("processors")) {
      count += special_tokens(each);
    }
  } else if (type == "TemplateProcessing") {
    for (const Json& piece : processor.at("single")) {
      if (const auto token = piece.find("SpecialToken"); token != piece.end()) {
        count += static_cast<int64_t>(
            processor.at("special_tokens").at(token->at("id").get<std::string>()).at("ids").size());
      }
    }
  }
  return count;
}

Lengths lengths_of(const Json& tokenizer) {
  Lengths lengths;
  const auto declared = [&](const char* key) {
    const auto found = tokenizer.find(key);
    return found == tokenizer.end() || found->is_null() ? Json::object() : *found;
  };
  lengths.special = special_tokens(declared("post_processor"));
  if (const Json cutting = declared("truncation"); !cutting.empty()) {
    lengths.cut = cutting.at("max_length").get<int64_t>();
    lengths.stride = cutting.value("stride", int64_t{0});
  }
  if (const Json padding = declared("padding"); !padding.empty()) {
    const Json& strategy = padding.at("strategy");
    if (strategy.is_object()) {
      lengths.padded = strategy.at("Fixed").get<int64_t>();
    }
    if (const auto multiple = padding.find("pad_to_multiple_of"); multiple != padding.end() && !multiple->is_null()) {
      lengths.multiple = std::max<int64_t>(1, multiple->get<int64_t>());
    }
  }
  return lengths;
}

/// Some ids of a vocabulary: that of BPE, WordPiece and WordLevel maps tokens to ids, that of Unigram is a list.
std::vector<int64_t> some_ids(const Json& vocabulary) {
  constexpr std::size_t most = 8;
  const std::size_t size = vocabulary.size();
  std::vector<int64_t> ids;
  if (vocabulary.is_array()) {
    for (std::size_t i = 0; i < std::min(most, size); ++i) {
      ids.push_back(static_cast<int64_t>((i + 1) * size / std::min(most, size)) - 1);
    }
    return ids;
  }
  const std::size_t step = std::max<std::size_t>(1, size / most);
  std::size_t place = 0;
  for (const auto& [token, id] : vocabulary.items()) {
    if (place++ % step == 0 && ids.size() < most) {
      ids.push_back(id.get<int64_t>());
    }
  }
  return ids;
}

void check_lengths(const Role& role, const Lengths& lengths, const std::string& named) {
  const auto wrong = [&](const auto&... parts) { fail(where, "role '", role.name, "', ", parts..., " in ", named); };
  const std::optional<int64_t> cut = lengths.cut ? lengths.cut : role.max_length;
  const std::string field = lengths.cut ? "field 'truncation.max_length' of the tokenizer: " : "field 'max_length': ";
  if (role.max_length && lengths.cut && *role.max_length != *lengths.cut) {
    wrong("field 'max_length': what the tokenizer declares as 'truncation.max_length' is expected, ", *lengths.cut,
          ", or nothing; got ", *role.max_length);
  }
  if (cut && *cut <= lengths.special) {
    wrong(field, "room for a token of the text beside the ", lengths.special,
          " special tokens that are added to it is expected, ", lengths.special + 1, " or more; got ", *cut);
  }
  if (cut && lengths.stride >= *cut - lengths.special) {
    wrong("field 'truncation.stride' of the tokenizer: less than the ", *cut - lengths.special,
          " tokens that are left of a text is expected; got ", lengths.stride);
  }
  const int64_t least = lengths.padded.value_or(cut.value_or(0));
  const int64_t padded = (least + lengths.multiple - 1) / lengths.multiple * lengths.multiple;
  if (role.max_length && padded > *role.max_length) {
    wrong("field 'max_length': at least what the tokenizer pads a text to is expected, ", padded,
          " tokens (its field 'padding'); got ", *role.max_length);
  }
}

}  // namespace

Tokens read_tokens(const Role& role, std::string_view text, const std::filesystem::path& file) {
  const Json tokenizer = io::parse_json(text, where, file);
  const Tokens usual;
  Tokens tokens;
  Lengths lengths;
  try {
    tokens.ids = some_ids(tokenizer.at("model").at("vocab"));
    lengths = lengths_of(tokenizer);
  } catch (const Json::exception& error) {
    fail(where, "role '", role.name,
         "', field 'tokenizer': a tokenizer.json of Hugging Face's tokenizers is expected; ", "got '", error.what(),
         "' in ", file.string());
  }
  check_lengths(role, lengths, file.string());
  if (tokens.ids.empty()) {
    fail(where, "role '", role.name,
         "', field 'tokenizer': a vocabulary of one token or more is expected; got none in ", file.string());
  }
  const int64_t most = lengths.cut.value_or(role.max_length.value_or(usual.length));
  const int64_t least = std::min(usual.length, most);
  tokens.length = lengths.padded.value_or(least);
  tokens.length = (tokens.length + lengths.multiple - 1) / lengths.multiple * lengths.multiple;
  return tokens;
}

}  // namespace brain2music::models
