#include "brain2music/decoding/decoder_file.h"

#include <ATen/ops/all.h>
#include <ATen/ops/isfinite.h>

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "brain2music/check.h"
#include "brain2music/io/json.h"
#include "brain2music/io/safetensors.h"

namespace brain2music::decoding {
namespace {

using Json = nlohmann::json;

constexpr auto loading = "decoding.load_decoder";
constexpr auto saving = "decoding.save_decoder";
constexpr auto key = "brain2music";  // of the metadata
constexpr auto kind = "BrainDecoder";
constexpr int64_t version = 1;  // python/brain2music/model_files.py counts along
constexpr std::size_t parts = 4;

std::string part_name(const char* part, std::size_t number) { return std::string(part) + "." + std::to_string(number); }

bool is_real(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble;
}

template <class... Parts>
std::string wrong(const std::string& field, const Parts&... rest) {
  std::ostringstream text;
  text << "field '" << field << "' must ";
  (text << ... << rest);
  return text.str();
}

/// Names what contradicts the rest of a region's model, as "field 'coef.1' must ...; got ..."; empty: nothing.
std::string contradiction(const RoiModel& roi, std::size_t number, const BrainDecoder& decoder) {
  const at::Tensor& first = decoder.rois.front().coef;
  const auto named = [&](const char* part) { return part_name(part, number); };
  for (const auto& [name, tensor] : {std::pair{"voxels", &roi.voxels},
                                     {"coef", &roi.coef},
                                     {"intercept", &roi.intercept},
                                     {"alphas", &roi.alphas}}) {
    if (!tensor->defined()) {
      return wrong(named(name), "be there; got none");
    }
  }
  const at::Tensor& voxels = roi.voxels;
  if (voxels.dim() != 1 || voxels.numel() == 0 || voxels.scalar_type() != at::kLong) {
    return wrong(named("voxels"), "hold one int64 a voxel or more; got ", voxels.sizes(), " of ", voxels.scalar_type());
  }
  const auto lowest = voxels.min().item<int64_t>();
  const auto highest = voxels.max().item<int64_t>();
  if (lowest < 0 || highest >= decoder.voxels) {
    return wrong(named("voxels"), "lie in 0 to n_voxels - 1 = ", decoder.voxels - 1, "; got ", lowest, " to ", highest);
  }
  if (roi.coef.dim() != 2 || roi.coef.size(0) != voxels.numel() || roi.coef.size(1) == 0 || !is_real(roi.coef)) {
    return wrong(named("coef"), "be (voxels, dimensions) of float32 or float64 for ", voxels.numel(), " voxels; got ",
                 roi.coef.sizes(), " of ", roi.coef.scalar_type());
  }
  if (roi.coef.size(1) != first.size(1) || roi.coef.scalar_type() != first.scalar_type()) {
    return wrong(named("coef"), "have the dimensions and type of coef.0, ", first.size(1), " of ", first.scalar_type(),
                 "; got ", roi.coef.size(1), " of ", roi.coef.scalar_type());
  }
  for (const auto& [name, tensor] : {std::pair{"intercept", &roi.intercept}, {"alphas", &roi.alphas}}) {
    if (tensor->dim() != 1 || tensor->size(0) != first.size(1) || tensor->scalar_type() != first.scalar_type()) {
      return wrong(named(name), "hold one ", first.scalar_type(), " for each of the ", first.size(1),
                   " dimensions of coef.0; got ", tensor->sizes(), " of ", tensor->scalar_type());
    }
  }
  for (const auto& [name, tensor] : {std::pair{"coef", &roi.coef}, {"intercept", &roi.intercept}}) {
    if (!at::all(at::isfinite(*tensor)).item<bool>()) {
      return wrong(named(name), "be finite; got NaN or Inf");
    }
  }
  if (!std::isfinite(roi.score)) {
    return wrong("fitted.rois[" + std::to_string(number) + "].score", "be finite; got ", roi.score);
  }
  return {};
}

/// Names what contradicts itself in a decoder, as "field 'coef.1' must ...; got ..."; empty: nothing.
std::string contradiction(const BrainDecoder& decoder) {
  const at::Tensor& windows = decoder.members;
  if (decoder.voxels < 1) {
    return wrong("fitted.n_voxels", "be positive; got ", decoder.voxels);
  }
  if (!windows.defined() || windows.dim() != 2 || windows.numel() == 0 || windows.scalar_type() != at::kBool) {
    return windows.defined()
               ? wrong("windows", "be (windows, scans) of bool; got ", windows.sizes(), " of ", windows.scalar_type())
               : wrong("windows", "be there; got none");
  }
  if (decoder.rois.empty()) {
    return wrong("fitted.rois", "hold a region or more; got none");
  }
  for (std::size_t number = 0; number < decoder.rois.size(); ++number) {
    if (std::string text = contradiction(decoder.rois[number], number, decoder); !text.empty()) {
      return text;
    }
  }
  if (decoder.space) {
    for (const auto& [name, seconds] : {std::pair{"window", decoder.space->window}, {"hop", decoder.space->hop}}) {
      if (!std::isfinite(seconds) || seconds <= 0) {
        return wrong(std::string("fitted.space.") + name, "be a positive number of seconds; got ", seconds);
      }
    }
  }
  return {};
}

/// Reads the metadata field by field; errors name the field and the file.
class MetadataReader {
 public:
  explicit MetadataReader(std::filesystem::path file) : file_(std::move(file)) {}

  template <class... Parts>
  void expect(bool rule, const std::string& field, const Parts&... rest) const {
    if (!rule) {
      fail(loading, wrong(field, rest...), " in ", file_.string());
    }
  }

  const Json& member(const Json& parent, const std::string& name, const std::string& field) const {
    const auto found = parent.find(name);
    expect(found != parent.end(), field, "be there; got none");
    return *found;
  }

  const Json& object(const Json& parent, const std::string& name, const std::string& field) const {
    return checked(parent, name, field, "an object", [](const Json& value) { return value.is_object(); });
  }

  const Json& list(const Json& parent, const std::string& name, const std::string& field) const {
    return checked(parent, name, field, "a list", [](const Json& value) { return value.is_array(); });
  }

  std::string text(const Json& parent, const std::string& name, const std::string& field) const {
    return checked(parent, name, field, "text", [](const Json& value) { return value.is_string(); });
  }

  double number(const Json& parent, const std::string& name, const std::string& field) const {
    return checked(parent, name, field, "a number", [](const Json& value) { return value.is_number(); });
  }

  int64_t integer(const Json& parent, const std::string& name, const std::string& field) const {
    return checked(parent, name, field, "a whole number", [](const Json& value) {
      return value.is_number_integer() &&
             (!value.is_number_unsigned() || std::in_range<int64_t>(value.get<uint64_t>()));
    });
  }

  std::optional<EmbeddingSpace> space(const Json& fitted) const {
    const auto found = fitted.find("space");  // missing in files of before spaces were told
    if (found == fitted.end() || found->is_null()) {
      return std::nullopt;
    }
    const Json& space = object(fitted, "space", "fitted.space");
    return EmbeddingSpace{text(space, "role", "fitted.space.role"), text(space, "hash", "fitted.space.hash"),
                          number(space, "window", "fitted.space.window"), number(space, "hop", "fitted.space.hop")};
  }

 private:
  template <class Rule>
  const Json& checked(const Json& parent, const std::string& name, const std::string& field, const char* what,
                      const Rule& rule) const {
    const Json& value = member(parent, name, field);
    constexpr std::size_t enough = 80;
    expect(rule(value), field, "be ", what, "; got ",
           value.dump(-1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace).substr(0, enough));
    return value;
  }

  std::filesystem::path file_;
};

}  // namespace

BrainDecoder load_decoder(const std::filesystem::path& path, at::Device device) {
  const io::SafeTensors contents = io::load_safetensors(path);
  const MetadataReader reader(path);
  const auto described = contents.metadata.find(key);
  if (described == contents.metadata.end()) {
    fail(loading, "the file must be a decoder that brain2music saved; got no metadata '", key, "' in ", path.string());
  }
  const Json root = io::parse_json(described->second, loading, path);
  reader.expect(root.is_object(), key, "be an object; got ", root.type_name());
  if (const std::string found = reader.text(root, "kind", "kind"); found != kind) {
    reader.expect(false, "kind", "be '", kind, "'; got '", found, "'");
  }
  if (const int64_t found = reader.integer(root, "version", "version"); found != version) {
    reader.expect(false, "version", "be ", version, ", which this brain2music reads; got ", found);
  }
  const Json& fitted = reader.object(root, "fitted", "fitted");

  const auto tensor = [&](const std::string& name) {
    const auto found = contents.tensors.find(name);
    reader.expect(found != contents.tensors.end(), name, "be there; got none");
    return found->second;
  };
  BrainDecoder decoder;
  decoder.voxels = reader.integer(fitted, "n_voxels", "fitted.n_voxels");
  decoder.members = tensor("windows");
  for (const Json& roi : reader.list(fitted, "rois", "fitted.rois")) {
    const std::size_t number = decoder.rois.size();
    const std::string field = "fitted.rois[" + std::to_string(number) + "]";
    reader.expect(roi.is_object(), field, "be an object; got ", roi.type_name());
    decoder.rois.push_back({reader.integer(roi, "label", field + ".label"),
                            reader.number(roi, "score", field + ".score"), tensor(part_name("voxels", number)),
                            tensor(part_name("coef", number)), tensor(part_name("intercept", number)),
                            tensor(part_name("alphas", number))});
  }
  const std::size_t expected = 1 + parts * decoder.rois.size();
  reader.expect(contents.tensors.size() == expected, "fitted.rois",
                "describe every region that the file has tensors of; got ", decoder.rois.size(), " regions for ",
                contents.tensors.size(), " tensors in place of ", expected);
  decoder.space = reader.space(fitted);
  if (const std::string text = contradiction(decoder); !text.empty()) {
    fail(loading, text, " in ", path.string());
  }
  for (RoiModel& roi : decoder.rois) {
    for (at::Tensor* part : {&roi.voxels, &roi.coef, &roi.intercept, &roi.alphas}) {
      *part = part->to(device);
    }
  }
  return decoder;
}

void save_decoder(const std::filesystem::path& path, const BrainDecoder& decoder) {
  require(path.extension() == ".safetensors", saving, "the file's name must end in .safetensors; got ", path.string());
  const std::string text = contradiction(decoder);
  require(text.empty(), saving, text);
  io::SafeTensors contents;
  contents.tensors["windows"] = decoder.members;
  Json rois = Json::array();
  Json scores = Json::array();
  for (const RoiModel& roi : decoder.rois) {
    const std::size_t number = rois.size();
    contents.tensors[part_name("voxels", number)] = roi.voxels;
    contents.tensors[part_name("coef", number)] = roi.coef;
    contents.tensors[part_name("intercept", number)] = roi.intercept;
    contents.tensors[part_name("alphas", number)] = roi.alphas;
    rois.push_back({{"label", roi.label}, {"score", roi.score}});
    scores.push_back(Json::array({roi.label, roi.score}));
  }
  Json space;  // null
  if (decoder.space) {
    space = {{"role", decoder.space->role},
             {"hash", decoder.space->hash},
             {"window", decoder.space->window},
             {"hop", decoder.space->hop}};
  }
  const Json root{{"version", version},
                  {"kind", kind},
                  {"parameters", {{"n_rois", rois.size()}}},
                  {"fitted",
                   {{"n_voxels", decoder.voxels},
                    {"rois", rois},
                    {"roi_scores", scores},
                    {"roi_names", nullptr},
                    {"notes", Json::array()},
                    {"space", space}}}};
  try {
    contents.metadata[key] = root.dump();
  } catch (const Json::exception&) {
    require(false, saving, "field 'fitted.space' must be UTF-8; got other bytes");
  }
  io::save_safetensors(path, contents);
}

}  // namespace brain2music::decoding
