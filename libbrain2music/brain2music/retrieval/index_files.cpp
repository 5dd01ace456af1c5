#include "brain2music/retrieval/index_files.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>
#include <system_error>

#include "brain2music/check.h"
#include "brain2music/io/file.h"
#include "brain2music/io/json.h"
#include "brain2music/io/npy.h"
#include "brain2music/io/sha256.h"

namespace brain2music::retrieval {
namespace {

namespace fs = std::filesystem;

constexpr auto opening = "retrieval.Index.open";
constexpr auto saving = "retrieval.Index.save";
constexpr auto format = "brain2music index";
constexpr int version = 1;
constexpr auto vectors_name = "vectors.npy";
constexpr auto ids_name = "ids.tsv";
constexpr auto header_name = "index.json";
constexpr std::string_view ids_header = "id\tfile";
constexpr std::string_view no_file = "n/a";  // as BIDS writes what is missing

std::string in_quotes(std::string_view text) { return std::string(1, '\'').append(text).append(1, '\''); }

/// A folder under a name of its own, beside the one it is to become; gone again unless it became that.
class FolderToBe {
 public:
  explicit FolderToBe(const fs::path& folder) : folder_(folder), temporary_(folder) {
    if (fs::exists(fs::symlink_status(folder))) {
      fail(saving, "the folder must not be there yet; got ", folder.string());
    }
    std::random_device random;
    temporary_ += ".part-" + std::to_string(::getpid()) + "-" + std::to_string(random());
    std::error_code error;
    if (!fs::create_directory(temporary_, error)) {
      fail(saving, "the folder must be writable; got '", error.message(), "' for ", temporary_.string());
    }
  }
  FolderToBe(const FolderToBe&) = delete;
  FolderToBe& operator=(const FolderToBe&) = delete;
  ~FolderToBe() {
    std::error_code ignored;
    fs::remove_all(temporary_, ignored);
  }

  const fs::path& path() const { return temporary_; }

  void commit() const {
    std::error_code error;
    fs::rename(temporary_, folder_, error);
    if (error) {
      fail(saving, "the folder must be writable; got '", error.message(), "' for ", folder_.string());
    }
  }

 private:
  fs::path folder_;
  fs::path temporary_;
};

nlohmann::json described(const fs::path& file) {
  const io::MappedFile map(file, saving);
  return {{"bytes", map.bytes().size()}, {"sha256", io::sha256(map.bytes())}};
}

/// The header, field by field; errors name the field and the file.
class HeaderReader {
 public:
  explicit HeaderReader(const fs::path& file) : file_(file.string()) {
    const io::MappedFile map(file, opening);
    root_ = io::parse_json(map.bytes(), opening, file);
    expect(root_.is_object(), "the whole", "an object", root_);
  }

  [[noreturn]] void refuse(const std::string& field, const std::string& rule, const std::string& got) const {
    fail(opening, field, " must be ", rule, "; got ", got, " in ", file_);
  }

  void expect(bool rule, const std::string& field, const std::string& what, const nlohmann::json& got) const {
    if (!rule) {
      constexpr std::size_t enough = 80;
      refuse(field, what, got.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).substr(0, enough));
    }
  }

  const nlohmann::json& at(const nlohmann::json& parent, const std::string& key, const std::string& field) const {
    const auto found = parent.find(key);
    if (found == parent.end()) {
      refuse(field, "there", "none");
    }
    return *found;
  }

  std::string text(const nlohmann::json& parent, const std::string& key, const std::string& field) const {
    const auto& value = at(parent, key, field);
    expect(value.is_string(), field, "text", value);
    return value.get<std::string>();
  }

  int64_t count(const nlohmann::json& parent, const std::string& key, const std::string& field) const {
    const auto& value = at(parent, key, field);
    expect(value.is_number_unsigned() && value.get<uint64_t>() < uint64_t{1} << 62, field, "a count", value);
    return value.get<int64_t>();
  }

  double seconds(const std::string& key) const {
    const auto& value = at(root_, key, key);
    expect(value.is_number() && std::isfinite(value.get<double>()) && value.get<double>() >= 0, key,
           "a number of seconds", value);
    return value.get<double>();
  }

  const nlohmann::json& root() const { return root_; }

 private:
  std::string file_;
  nlohmann::json root_;
};

std::vector<SkippedFile> read_skipped(const HeaderReader& header) {
  const auto& list = header.at(header.root(), "skipped", "skipped");
  header.expect(list.is_array(), "skipped", "a list", list);
  std::vector<SkippedFile> skipped;
  for (const auto& entry : list) {
    const std::string field = "skipped[" + std::to_string(skipped.size()) + "]";
    header.expect(entry.is_object(), field, "an object", entry);
    skipped.push_back({header.text(entry, "file", field + ".file"), header.text(entry, "reason", field + ".reason")});
  }
  return skipped;
}

/// Compares a file with what the header says of it.
void check_file(const HeaderReader& header, const fs::path& folder, const std::string& name, bool verify) {
  const auto& files = header.at(header.root(), "files", "files");
  header.expect(files.is_object(), "files", "an object", files);
  const std::string field = "files." + name;
  const auto& entry = header.at(files, name, field);
  header.expect(entry.is_object(), field, "an object", entry);
  const int64_t bytes = header.count(entry, "bytes", field + ".bytes");
  const std::string hash = header.text(entry, "sha256", field + ".sha256");
  const io::MappedFile map(folder / name, opening);
  if (std::ssize(map.bytes()) != bytes) {
    header.refuse(field + ".bytes", "the size of the file, " + std::to_string(map.bytes().size()),
                  std::to_string(bytes));
  }
  if (verify) {
    const std::string found = io::sha256(map.bytes());
    if (found != hash) {
      header.refuse(field + ".sha256", "the hash of the file, " + found, hash);
    }
  }
}

void read_ids(const fs::path& file, int64_t count, IndexContents& contents) {
  const io::MappedFile map(file, opening);
  std::string_view text = map.bytes();
  const auto next_line = [&text, &file](int64_t row) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) {
      fail(opening, "every row must end its line; got no line end in row ", row, " of ", file.string());
    }
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    return line;
  };
  if (const auto header = next_line(0); header != ids_header) {
    fail(opening, "the columns must be id and file; got '", header, "' in ", file.string());
  }
  for (int64_t row = 1; !text.empty(); ++row) {
    const std::string_view line = next_line(row);
    const auto tab = line.find('\t');
    const std::string_view id = line.substr(0, tab);
    const std::string_view path = tab == std::string_view::npos ? "" : line.substr(tab + 1);
    if (!is_tabular(id) || !is_tabular(path)) {
      fail(opening, "a row must hold an id and a file; got something else in row ", row, " of ", file.string());
    }
    contents.ids.emplace_back(id);
    contents.source.files.emplace_back(path);
  }
  if (std::ssize(contents.ids) != count) {
    fail(opening, "there must be as many ids as ", header_name, " counts, ", count, "; got ", contents.ids.size(),
         " in ", file.string());
  }
  if (std::ranges::all_of(contents.source.files, [](const std::string& path) { return path == no_file; })) {
    contents.source.files.clear();
  }
}

}  // namespace

bool is_utf8(std::string_view text) {
  try {
    (void)nlohmann::json(text).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

bool is_tabular(std::string_view text) {
  return !text.empty() && text.find_first_of(std::string_view("\t\n\r\0", 4)) == std::string_view::npos &&
         is_utf8(text);
}

void write_index(const fs::path& folder, const IndexContents& contents) {
  const FolderToBe part(folder);
  io::save_npy(part.path() / vectors_name, contents.vectors);
  io::WrittenFile ids(part.path() / ids_name, saving);
  ids.write(ids_header);
  for (std::size_t i = 0; i < contents.ids.size(); ++i) {
    ids.write("\n");
    ids.write(contents.ids[i]);
    ids.write("\t");
    ids.write(contents.source.files.empty() ? no_file : contents.source.files[i]);
  }
  ids.write("\n");
  ids.commit();
  nlohmann::json skipped = nlohmann::json::array();
  for (const SkippedFile& file : contents.source.skipped) {
    skipped.push_back({{"file", file.file}, {"reason", file.reason}});
  }
  const nlohmann::json root{
      {"format", format},
      {"version", version},
      {"count", contents.vectors.size(0)},
      {"dimension", contents.vectors.size(1)},
      {"dtype", "float32"},
      {"bundle_hash", contents.source.bundle_hash},
      {"role", contents.source.role},
      {"network_hash", contents.source.network_hash},
      {"window", contents.source.window},
      {"hop", contents.source.hop},
      {"seconds", contents.source.seconds},
      {"files", {{vectors_name, described(part.path() / vectors_name)}, {ids_name, described(part.path() / ids_name)}}},
      {"skipped", skipped}};
  io::WrittenFile header(part.path() / header_name, saving);
  header.write(root.dump(1) + "\n");
  header.commit();
  part.commit();
}

IndexContents read_index(const fs::path& folder, bool verify) {
  const HeaderReader header(folder / header_name);
  const auto& root = header.root();
  if (const std::string found = header.text(root, "format", "format"); found != format) {
    header.refuse("format", in_quotes(format), in_quotes(found));
  }
  if (const int64_t found = header.count(root, "version", "version"); found != version) {
    header.refuse("version", std::to_string(version) + " (what this brain2music reads)", std::to_string(found));
  }
  if (const std::string found = header.text(root, "dtype", "dtype"); found != "float32") {
    header.refuse("dtype", "'float32'", in_quotes(found));
  }
  const int64_t count = header.count(root, "count", "count");
  const int64_t dimension = header.count(root, "dimension", "dimension");
  IndexContents contents;
  contents.source.bundle_hash = header.text(root, "bundle_hash", "bundle_hash");
  contents.source.role = header.text(root, "role", "role");
  if (root.contains("network_hash")) {  // not in indexes of before it was told
    contents.source.network_hash = header.text(root, "network_hash", "network_hash");
  }
  contents.source.window = header.seconds("window");
  contents.source.hop = header.seconds("hop");
  contents.source.seconds = header.seconds("seconds");
  contents.source.skipped = read_skipped(header);
  check_file(header, folder, vectors_name, verify);
  check_file(header, folder, ids_name, verify);
  contents.vectors = io::load_npy(folder / vectors_name);
  const at::Tensor& vectors = contents.vectors;
  if (vectors.sizes() != at::IntArrayRef({count, dimension}) || vectors.scalar_type() != at::kFloat ||
      !vectors.is_contiguous() || vectors.numel() == 0) {
    fail(opening, "vectors must be a row or more, float32 in C order, of the shape that ", header_name, " gives, [",
         count, ", ", dimension, "]; got ", vectors.scalar_type(), " of shape ", vectors.sizes(), " in ",
         (folder / vectors_name).string());
  }
  read_ids(folder / ids_name, count, contents);
  return contents;
}

}  // namespace brain2music::retrieval
