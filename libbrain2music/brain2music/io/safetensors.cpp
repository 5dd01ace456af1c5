#include "brain2music/io/safetensors.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/io/file.h"
#include "brain2music/io/json.h"

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

namespace brain2music::io {
namespace {

constexpr auto loading = "io.load_safetensors";
constexpr auto saving = "io.save_safetensors";
constexpr std::string_view metadata_key = "__metadata__";
constexpr uint64_t longest_header = 100'000'000;  // the limit of the format's own library
constexpr std::size_t alignment = 8;

struct TypeName {
  std::string_view name;
  at::ScalarType type;
};

constexpr std::array<TypeName, 16> type_names{{{"BOOL", at::kBool},
                                               {"U8", at::kByte},
                                               {"I8", at::kChar},
                                               {"F8_E5M2", at::kFloat8_e5m2},
                                               {"F8_E4M3", at::kFloat8_e4m3fn},
                                               {"I16", at::kShort},
                                               {"U16", at::kUInt16},
                                               {"F16", at::kHalf},
                                               {"BF16", at::kBFloat16},
                                               {"I32", at::kInt},
                                               {"U32", at::kUInt32},
                                               {"F32", at::kFloat},
                                               {"C64", at::kComplexFloat},
                                               {"F64", at::kDouble},
                                               {"I64", at::kLong},
                                               {"U64", at::kUInt64}}};

std::optional<at::ScalarType> type_of(const nlohmann::json& name) {
  const auto* const known = std::ranges::find_if(type_names, [&](const TypeName& type) {
    return name.is_string() && name.get_ref<const std::string&>() == type.name;
  });
  return known == type_names.end() ? std::nullopt : std::optional(known->type);
}

std::string_view name_of(at::ScalarType type) {
  const auto* const known = std::ranges::find_if(type_names, [&](const TypeName& each) { return each.type == type; });
  require(known != type_names.end(), saving, "the type must be one that .safetensors knows; got ", type);
  return known->name;
}

/// Where a tensor lies in the data, and as what.
struct Entry {
  std::string name;
  at::ScalarType type = at::kFloat;
  std::vector<int64_t> shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

class Header {
 public:
  Header(const nlohmann::json& header, uint64_t data_bytes, std::filesystem::path file) : file_(std::move(file)) {
    expect(header.is_object(), "the header must be an object; got ", header.type_name());
    for (const auto& [name, value] : header.items()) {
      if (name == metadata_key) {
        expect(value.is_object(), "__metadata__ must be an object; got ", value.type_name());
        for (const auto& [key, text] : value.items()) {
          expect(text.is_string(), "__metadata__ must hold text; got ", text.type_name(), " for ", key);
          metadata[key] = text.get<std::string>();
        }
      } else {
        entries.push_back(entry(name, value));
      }
    }
    // Every byte of the data belongs to one tensor.
    std::ranges::sort(entries, {}, [](const Entry& each) { return std::pair(each.begin, each.end); });
    uint64_t at = 0;
    for (const Entry& each : entries) {
      expect(each.begin == at, "tensors must follow each other without a gap; got '", each.name, "' at byte ",
             each.begin, " of the data instead of ", at);
      at = each.end;
    }
    expect(at == data_bytes, "the data must be as long as the header says; got ", data_bytes, " bytes for ", at);
  }

  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;

 private:
  template <class... Parts>
  void expect(bool rule, const Parts&... parts) const {
    if (!rule) {
      fail(loading, parts..., " in ", file_.string());
    }
  }

  Entry entry(const std::string& name, const nlohmann::json& value) const {
    const bool complete = value.is_object() && value.size() == 3 && value.contains("dtype") &&
                          value.contains("shape") && value.contains("data_offsets");
    expect(complete, "a tensor has dtype, shape and data_offsets; got ", value.type_name(), " for '", name, "'");
    const at::ScalarType type = type_of(value["dtype"]).value_or(at::ScalarType::Undefined);
    expect(type != at::ScalarType::Undefined, "the dtype must be a known one; got ", value["dtype"].dump(), " for '",
           name, "'");
    const std::vector<uint64_t> shape = numbers(value["shape"], name);
    const std::vector<uint64_t> offsets = numbers(value["data_offsets"], name);
    expect(offsets.size() == 2 && offsets[0] <= offsets[1], "data_offsets must be [begin, end]; got ",
           value["data_offsets"].dump(), " for '", name, "'");
    constexpr std::size_t most_dimensions = 64;
    expect(shape.size() <= most_dimensions, "a tensor has at most 64 dimensions; got ", shape.size(), " for '", name,
           "'");
    auto bytes = static_cast<int64_t>(at::elementSize(type));
    bool fits = true;
    for (const uint64_t size : shape) {  // sizes beside a zero count too: strides must not overflow either
      fits = fits && size <= INT64_MAX && !__builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes);
    }
    const bool empty = std::ranges::find(shape, 0U) != shape.end();
    expect(fits && offsets[1] - offsets[0] == (empty ? 0 : static_cast<uint64_t>(bytes)),
           "a tensor must fill its place; got ", offsets[1] - offsets[0], " bytes for shape ", value["shape"].dump(),
           " of ", value["dtype"].dump(), " for '", name, "'");
    return {name, type, {shape.begin(), shape.end()}, offsets[0], offsets[1]};
  }

  std::vector<uint64_t> numbers(const nlohmann::json& list, const std::string& name) const {
    const bool whole = list.is_array() && std::ranges::all_of(list, [](const nlohmann::json& value) {
                         return value.is_number_unsigned();
                       });
    expect(whole, "shape and data_offsets must be lists of whole numbers; got ",
           list.dump(-1, ' ', /*ensure_ascii=*/true).substr(0, 80), " for '", name, "'");
    return list.get<std::vector<uint64_t>>();
  }

  std::filesystem::path file_;
};

at::Tensor view_of(const Entry& entry, const std::shared_ptr<MappedFile>& map, std::size_t data_start) {
  char* data = map->data() + data_start + entry.begin;
  at::Tensor tensor = at::from_blob(
      data, entry.shape, [held = map](void*) mutable { held.reset(); }, at::TensorOptions().dtype(entry.type));
  const bool aligned = reinterpret_cast<std::uintptr_t>(data) % at::elementSize(entry.type) == 0;
  return aligned ? tensor : tensor.clone();
}

}  // namespace

SafeTensors load_safetensors(const std::filesystem::path& path) {
  auto map = std::make_shared<MappedFile>(path, loading);
  const std::string_view bytes = map->bytes();
  uint64_t length = 0;
  if (bytes.size() < sizeof length) {
    fail(loading, "a .safetensors file begins with its header's length; got ", bytes.size(), " bytes in ",
         path.string());
  }
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > longest_header || length > bytes.size() - sizeof length) {
    fail(loading, "the header must be whole and at most 100 MB; got a length of ", length, " in a file of ",
         bytes.size(), " bytes: ", path.string());
  }
  const std::size_t data_start = sizeof length + length;
  const nlohmann::json parsed = parse_json(bytes.substr(sizeof length, length), loading, path);
  Header header(parsed, bytes.size() - data_start, path);
  SafeTensors contents;
  contents.metadata = std::move(header.metadata);
  for (const Entry& entry : header.entries) {
    contents.tensors.emplace(entry.name, view_of(entry, map, data_start));
  }
  return contents;
}

void save_safetensors(const std::filesystem::path& path, const SafeTensors& contents) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& [name, tensor] : contents.tensors) {
    require(tensor.defined(), saving, "every tensor must be defined; got none for '", name, "'");
    require(name != metadata_key, saving, "a tensor must not be called ", metadata_key, "; got one");
    tensors.emplace_back(name, tensor.detach().cpu().resolve_neg().resolve_conj().contiguous());
  }
  // Wide types first: each tensor is then aligned to its own size.
  std::ranges::stable_sort(tensors, std::ranges::greater{},
                           [](const auto& each) { return each.second.element_size(); });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!contents.metadata.empty()) {
    header[metadata_key] = contents.metadata;
  }
  std::size_t at = 0;
  for (const auto& [name, tensor] : tensors) {
    const std::size_t end = at + tensor.nbytes();
    header[name] = {
        {"dtype", name_of(tensor.scalar_type())}, {"shape", tensor.sizes().vec()}, {"data_offsets", {at, end}}};
    at = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {
    require(false, saving, "names and metadata must be UTF-8; got other bytes");
  }
  text.append((alignment - text.size() % alignment) % alignment, ' ');
  require(text.size() <= longest_header, saving, "the header must be at most 100 MB; got ", text.size(), " bytes");
  const uint64_t length = text.size();
  WrittenFile file(path, saving);
  file.write({reinterpret_cast<const char*>(&length), sizeof length});
  file.write(text);
  for (const auto& [name, tensor] : tensors) {
    file.write({static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()});
  }
  file.commit();
}

}  // namespace brain2music::io
