#include "brain2music/io/npy.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "brain2music/check.h"
#include "brain2music/io/file.h"

namespace brain2music::io {
namespace {

constexpr std::string_view magic("\x93NUMPY", 6);
constexpr std::size_t data_alignment = 64;

struct TypeName {
  std::string_view descr;
  at::ScalarType type;
};

constexpr std::array<TypeName, 12> type_names{{{"<f4", at::kFloat},
                                               {"<f8", at::kDouble},
                                               {"<f2", at::kHalf},
                                               {"|i1", at::kChar},
                                               {"<i2", at::kShort},
                                               {"<i4", at::kInt},
                                               {"<i8", at::kLong},
                                               {"|u1", at::kByte},
                                               {"<u2", at::kUInt16},
                                               {"<u4", at::kUInt32},
                                               {"<u8", at::kUInt64},
                                               {"|b1", at::kBool}}};

struct Header {
  at::ScalarType type = at::kFloat;
  bool big_endian = false;
  bool fortran_order = false;
  std::vector<int64_t> shape;
  std::size_t data_offset = 0;
};

/// Reads the header's Python dictionary literal, of which .npy uses a corner: strings, True and False, a tuple of
/// integers.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::string where_from) : text_(text), file_(std::move(where_from)) {}

  Header parse() {
    Header header;
    bool have_type = false;
    bool have_order = false;
    bool have_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr" && !have_type) {
        const std::string_view descr = string();
        header.type = type_of(descr);
        header.big_endian = descr.starts_with('>');
        have_type = true;
      } else if (key == "fortran_order" && !have_order) {
        header.fortran_order = boolean();
        have_order = true;
      } else if (key == "shape" && !have_shape) {
        header.shape = shape();
        have_shape = true;
      } else {
        broken("an unknown or repeated key '" + std::string(key) + "'");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (!text_.empty()) {
      broken("text after the dictionary");
    }
    if (!have_type || !have_order || !have_shape) {
      broken("no descr, fortran_order or shape");
    }
    return header;
  }

 private:
  [[noreturn]] void broken(const std::string& what) const {
    fail("io.load_npy", "not a readable .npy header; got ", what, " in ", file_);
  }

  void skip_space() {
    const auto start = text_.find_first_not_of(" \n");
    text_.remove_prefix(start == std::string_view::npos ? text_.size() : start);
  }

  bool accept(char c) {
    skip_space();
    if (text_.empty() || text_.front() != c) {
      return false;
    }
    text_.remove_prefix(1);
    return true;
  }

  void expect(char c) {
    if (!accept(c)) {
      broken("no '" + std::string(1, c) + "' where one belongs");
    }
  }

  std::string_view string() {
    skip_space();
    const char quote = text_.empty() ? '\0' : text_.front();
    const auto end = quote == '\'' || quote == '"' ? text_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) {
      broken("no string where one belongs");
    }
    const std::string_view value = text_.substr(1, end - 1);
    text_.remove_prefix(end + 1);
    return value;
  }

  bool boolean() {
    skip_space();
    for (const auto& [name, value] : {std::pair{std::string_view("True"), true}, {std::string_view("False"), false}}) {
      if (text_.starts_with(name)) {
        text_.remove_prefix(name.size());
        return value;
      }
    }
    broken("fortran_order neither True nor False");
  }

  std::vector<int64_t> shape() {
    std::vector<int64_t> sizes;
    expect('(');
    while (!accept(')')) {
      skip_space();
      int64_t size = -1;
      const auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), size);
      if (error != std::errc{} || size < 0) {
        broken("a shape that is no tuple of sizes");
      }
      text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
      if (text_.starts_with('L')) {  // of Python 2
        text_.remove_prefix(1);
      }
      sizes.push_back(size);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return sizes;
  }

  at::ScalarType type_of(std::string_view descr) const {
    // In either byte order; of one byte there is none.
    for (const TypeName& known : type_names) {
      const bool any_order = known.descr.front() == '<' && !descr.empty() &&
                             std::string_view("<>=").find(descr[0]) != std::string_view::npos;
      if (known.descr == descr || (any_order && known.descr.substr(1) == descr.substr(1))) {
        return known.type;
      }
    }
    fail("io.load_npy", "the type must be a number or a boolean; got '", descr, "' in ", file_);
  }

  std::string_view text_;
  std::string file_;
};

Header read_header(std::string_view bytes, const std::string& file) {
  const auto require_file = [&](bool rule, const auto&... parts) {
    if (!rule) {
      fail("io.load_npy", parts..., " in ", file);
    }
  };
  require_file(bytes.size() >= 10 && bytes.starts_with(magic), "a .npy file starts with \\x93NUMPY; got other bytes");
  const int major = static_cast<unsigned char>(bytes[6]);
  require_file(major >= 1 && major <= 3, "the format version must be 1, 2 or 3; got ", major);
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  require_file(bytes.size() >= 8 + length_bytes, "the header must be whole; got ", bytes.size(), " bytes");
  std::size_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) {
    length |= std::size_t{static_cast<unsigned char>(bytes[8 + i])} << (8 * i);
  }
  const std::size_t start = 8 + length_bytes;
  require_file(bytes.size() - start >= length, "the header must be whole; got ", bytes.size() - start, " of ", length,
               " bytes");
  Header header = HeaderParser(bytes.substr(start, length), file).parse();
  header.data_offset = start + length;
  return header;
}

/// Bytes of the data, or nothing where that overflows.
std::optional<std::size_t> byte_count(const Header& header) {
  std::size_t bytes = at::elementSize(header.type);
  for (const int64_t size : header.shape) {
    if (__builtin_mul_overflow(bytes, static_cast<std::size_t>(size), &bytes)) {
      return std::nullopt;
    }
  }
  return bytes;
}

std::vector<int64_t> strides_of(const Header& header, bool empty) {
  std::vector<int64_t> strides(header.shape.size(), 1);
  if (empty) {  // sizes beside a zero may be of any magnitude
    return strides;
  }
  int64_t stride = 1;
  for (std::size_t i = 0; i < strides.size(); ++i) {
    const std::size_t axis = header.fortran_order ? i : strides.size() - 1 - i;
    strides[axis] = stride;
    stride *= header.shape[axis];
  }
  return strides;
}

/// A copy with the bytes of each number the other way round.
at::Tensor swapped(const at::Tensor& array) {
  at::Tensor copy = array.clone();
  const auto size = static_cast<std::size_t>(copy.element_size());
  auto* bytes = static_cast<char*>(copy.data_ptr());
  for (std::size_t first = 0; first < copy.nbytes(); first += size) {
    std::reverse(bytes + first, bytes + first + size);
  }
  return copy;
}

std::string header_text(const at::Tensor& array) {
  std::string_view descr;
  for (const TypeName& known : type_names) {
    if (known.type == array.scalar_type()) {
      descr = known.descr;
    }
  }
  require(!descr.empty(), "io.save_npy", "the type must be one that .npy knows; got ", array.scalar_type());
  std::string dictionary = "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': (";
  for (const int64_t size : array.sizes()) {
    dictionary += std::to_string(size) + ",";
  }
  dictionary += "), }";
  const std::size_t prefix = 10;
  const std::size_t total = (prefix + dictionary.size() + 1 + data_alignment - 1) / data_alignment * data_alignment;
  dictionary.append(total - prefix - dictionary.size() - 1, ' ');
  dictionary += '\n';
  std::string header(magic);
  header += {'\x01', '\x00', static_cast<char>(dictionary.size() & 0xFF), static_cast<char>(dictionary.size() >> 8)};
  return header + dictionary;
}

}  // namespace

at::Tensor load_npy(const std::filesystem::path& path) {
  auto map = std::make_shared<MappedFile>(path, "io.load_npy");
  const Header header = read_header(map->bytes(), path.string());
  const std::size_t available = map->bytes().size() - header.data_offset;
  const auto needed = byte_count(header);
  if (needed != available) {
    fail("io.load_npy", "the data must be as long as shape ", at::IntArrayRef(header.shape), " asks; got ", available,
         " bytes for ", needed ? std::to_string(*needed) : "more than 2^64", " in ", path.string());
  }
  constexpr std::size_t most_dimensions = 64;  // NumPy's own limit
  if (header.shape.size() > most_dimensions) {
    fail("io.load_npy", "an array has at most 64 dimensions; got ", header.shape.size(), " in ", path.string());
  }
  char* data = map->data() + header.data_offset;
  const auto options = at::TensorOptions().dtype(header.type);
  at::Tensor array = at::from_blob(
      data, header.shape, strides_of(header, needed == 0), [map](void*) mutable { map.reset(); }, options);
  if (header.big_endian) {
    return swapped(array);
  }
  const bool aligned = reinterpret_cast<std::uintptr_t>(data) % at::elementSize(header.type) == 0;
  return aligned ? array : array.clone();
}

void save_npy(const std::filesystem::path& path, const at::Tensor& array) {
  const at::Tensor values = array.detach().cpu().resolve_neg().contiguous();
  WrittenFile file(path, "io.save_npy");
  file.write(header_text(values));
  file.write({static_cast<const char*>(values.const_data_ptr()), values.nbytes()});
  file.commit();
}

}  // namespace brain2music::io
