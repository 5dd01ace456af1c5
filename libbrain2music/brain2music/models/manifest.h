#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "brain2music/export.h"

namespace brain2music::models {

/// A measured property of a network.
struct Figure {
  std::string name;
  double value = 0;
  std::string of;              ///< what is counted
  std::optional<double> goal;  ///< what the value was to reach
  std::optional<double> chance;
  std::optional<double> oracle;  ///< the best that could be reached
  bool at_most = false;          ///< the goal is an upper bound
  std::string reason;            ///< why the goal was missed; may be empty
};

/// Where a network comes from, and what it stands in for.
struct ModelCard {
  std::string name;
  std::string source;
  std::string licence;
  std::string replaces;
  std::string notes;  ///< may be empty
  std::vector<Figure> figures;
};

/// A file of a bundle and what it must hash to.
struct BundleFile {
  std::string name;
  std::string sha256;  ///< hexadecimal
};

/// How many frames around a frame its sound depends on: a codec decodes blocks with so many frames around them as it
/// decodes the whole.
struct CodecContext {
  int64_t past = 0;
  int64_t future = 0;
};

/// What a bundle's manifest says of one role. Fields that a role does not have are empty.
struct Role {
  std::string name;  ///< e.g. "music_embedder"
  BundleFile file;   ///< the TorchScript module
  std::vector<std::string> methods;
  std::vector<at::ScalarType> dtypes;  ///< that the weights may be cast to, the default first
  ModelCard card;
  std::optional<int64_t> sample_rate;   ///< Hz
  std::optional<double> frame_rate;     ///< frames a second; where given, `embed` gives frames to be averaged
  std::optional<double> window;         ///< seconds of music that an embedding is made of
  std::optional<int64_t> dimension;     ///< of an embedding
  std::optional<int64_t> max_length;    ///< tokens of a text or a sequence, at most
  std::optional<BundleFile> tokenizer;  ///< of a text embedder
  std::optional<int64_t> levels;        ///< of codes, one beside another in a frame
  std::optional<int64_t> vocabulary;    ///< codes of a level, of the largest where levels differ
  std::vector<int64_t> vocabularies;    ///< codes of each level; empty where the role has no levels
  std::optional<int64_t> channels;      ///< of a codec's sound: 1 or 2
  std::optional<CodecContext> context;  ///< of a codec, where decoding may be done in blocks
  std::vector<std::string> classes;     ///< of a tagger: their names
  std::map<std::string, std::vector<std::string>> groups;  ///< of a tagger: classes compared with each other

  /// Whether the network has a method of that name, e.g. "embed".
  B2M_API bool has(std::string_view method) const;
};

/// How a frame of a stage is made.
enum class Family : std::uint8_t {
  tokens,    ///< one token after another
  parallel,  ///< all levels at once, each delayed by its own number of frames
  frames,    ///< a temporal network once a frame, then a depth network level by level
};

/// How codes of several levels follow each other in a sequence of tokens.
enum class CodeOrder : std::uint8_t {
  frames,  ///< all levels of a frame, then the next frame
  levels,  ///< all frames of a level, then the next level
};

/// A piece of a sequence's prefix: a special token, or codes.
struct PrefixPart {
  std::optional<int64_t> token;         ///< id of the special token
  int64_t count = 1;                    ///< how often the token stands there
  std::string from;                     ///< "conditioner" or the name of an earlier stage, where codes stand
  CodeOrder order = CodeOrder::frames;  ///< of the codes
  std::vector<int64_t> offsets;         ///< id of each level's code 0, for the first levels of the source
};

/// Levels that the family `parallel` is given beside its own.
struct GivenLevels {
  std::string from;   ///< "conditioner" or the name of an earlier stage
  int64_t delay = 0;  ///< frame f stands at position f + delay
};

/// Guidance told to a network as a code of its input: code c stands for lowest + c step.
struct GuidanceCodes {
  double lowest = 0;
  double step = 1;
  int64_t codes = 1;

  /// The strongest guidance that a code stands for.
  B2M_API double highest() const;

  /// The code that is nearest to a guidance, the even one of two that are as near.
  /// @return it, or nothing for a guidance below `lowest` or above highest().
  B2M_API std::optional<int64_t> code(double guidance) const;
};

/// Columns of the codes that the family `frames` gives to its method `source`: those of a source, one for each of its
/// levels; the code of guidance; or one code that never changes.
struct Channel {
  std::string from;                       ///< "conditioner" or the name of an earlier stage; empty for the others
  std::optional<GuidanceCodes> guidance;  ///< one column
  int64_t code = -1;                      ///< where the two above are empty; -1: the channel is masked
  int64_t count = 1;                      ///< columns of `code`
};

/// What a stage's networks are conditioned on beside tokens.
struct StageCondition {
  bool codes = false;                   ///< codes of the conditioner (B, levels) int64; else the embedding (B, d)
  std::optional<double> unconditional;  ///< what fills the condition of guidance's other half
};

/// What tokens are drawn with.
struct SamplingDefaults {
  double temperature = 1;
  int64_t top_k = 0;  ///< 0 for all
  double top_p = 1;
  double guidance = 1;
};

/// What a bundle's manifest says of one stage of generation.
struct Stage {
  std::string name;  ///< e.g. "semantic"
  BundleFile file;
  std::vector<std::string> methods;    ///< those of its family
  std::vector<at::ScalarType> dtypes;  ///< of the weights of its products, the default first; int8 on a CPU alone
  ModelCard card;
  Family family = Family::tokens;
  double frame_rate = 0;         ///< frames a second
  std::vector<int64_t> codes;    ///< codes of each of its levels
  int64_t vocabulary = 0;        ///< length of the logits
  int64_t max_length = 0;        ///< positions of a sequence, at most; the largest int64 where there is no bound
  std::optional<double> window;  ///< seconds of music of one sequence; none: the whole piece is one
  double overlap = 0;            ///< seconds that the next sequence begins with
  std::optional<StageCondition> condition;
  std::vector<int64_t> codec_levels;  ///< levels of the codec that its levels are; empty where they are none
  SamplingDefaults sampling;

  std::vector<PrefixPart> prefix;                        ///< of the family tokens
  std::optional<std::vector<PrefixPart>> unconditional;  ///< the prefix of guidance's other half
  CodeOrder order = CodeOrder::frames;                   ///< of the codes that it makes
  std::vector<int64_t> offsets;                          ///< id of each level's code 0

  std::vector<GivenLevels> given;  ///< of the family parallel
  std::vector<int64_t> delays;     ///< of each level: frame f stands at position f + 1 + delay
  int64_t pad = 0;                 ///< id that stands wherever no code does

  std::vector<Channel> channels;  ///< of the family frames
  int64_t start = -1;             ///< stands in place of the codes before a sequence's first frame

  /// Levels of codes of a frame.
  int64_t levels() const { return static_cast<int64_t>(codes.size()); }

  /// Whether a code of the input says how strong guidance is: nothing is then computed twice.
  B2M_API bool guided_by_codes() const;

  /// The names of what the stage reads, in the order of its layout: "conditioner" or earlier stages, some twice.
  B2M_API std::vector<std::string> sources() const;
};

/// The space of the embeddings that a bundle makes music from.
struct GenerationSpace {
  int64_t dimension = 0;
  std::vector<std::string> hashes;  ///< SHA-256 of every network that embeds into it
};

/// What `bundle.json` says, once it keeps to the schema (python/brain2music/bundles/schema.json).
struct Manifest {
  std::string name;
  std::string description;
  std::vector<Role> roles;               ///< by name
  std::vector<Stage> stages;             ///< in the order in which they run
  std::optional<GenerationSpace> space;  ///< where the bundle generates
  std::string text;                      ///< the file as it is
};

/// The name of a type in the manifest.
/// @param dtype of a network's weights.
/// @return "float32", "bfloat16", "float16" or "int8"; c10::toString(dtype) for a type that no manifest names.
B2M_API std::string dtype_name(at::ScalarType dtype);

/// Reads `bundle.json`.
/// @param file where it lies.
/// @return what it says; files that it names are not looked at.
/// @throws std::runtime_error naming role, field, what was expected and what was found.
B2M_API Manifest read_manifest(const std::filesystem::path& file);

}  // namespace brain2music::models
