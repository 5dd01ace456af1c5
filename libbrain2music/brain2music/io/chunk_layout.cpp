// Files of samples behind a header that tells their size: WAV (RIFF, RIFX, RF64, Wave64), AU, AIFF. A program that
// writes into a pipe, or was killed, leaves a size that promises nothing.
#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "brain2music/check.h"
#include "brain2music/io/audio_layout.h"

namespace brain2music::io {
namespace {

constexpr auto where = "io.load_audio";

/// Bytes behind the samples that may be anything, such as what fills up a sector.
constexpr uint64_t junk_limit = 4096;

/// Sizes that programs write which cannot go back to the header: 2 or 4 GiB less a byte or a page, which may stand for
/// the file or, less a header of up to 256 bytes, for the samples. A recording of just such a size that was cut cannot
/// be told from them.
bool is_placeholder(uint64_t size) {
  constexpr std::array<uint64_t, 4> limits = {0x7FFFF000, 0x80000000, 0xFFFFF000, 0xFFFFFFFF};
  return size >= 1ULL << 62U ||
         std::ranges::any_of(limits, [=](uint64_t limit) { return size <= limit + 36 && size + 256 >= limit; });
}

bool is_chunk_name(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return std::isprint(c) != 0; });
}

/// A field of the header that is to hold a size.
struct Field {
  uint64_t at = 0;
  int bytes = 0;
  uint64_t value = 0;  // what it is to say
};

class Header {
 public:
  explicit Header(AudioSource& file) : file_(file) {}

  Layout layout() {
    const std::string magic(file_.view(0, 16));
    if (magic.starts_with("RIFF") || magic.starts_with("RIFX") || magic.starts_with("RF64")) {
      return riff(magic.starts_with("RIFX"), magic.starts_with("RF64"));
    }
    if (magic.starts_with(std::string_view("riff\x2e\x91\xcf\x11", 8))) {
      return wave64();
    }
    if (magic.starts_with("FORM")) {
      return aiff();
    }
    if (magic.starts_with(".snd") || magic.starts_with("dns.")) {
      return au(magic.starts_with(".snd"));
    }
    return {};
  }

 private:
  uint64_t number(uint64_t at, int bytes) {
    const std::string_view text = file_.view(at, static_cast<std::size_t>(bytes));
    if (text.size() < static_cast<std::size_t>(bytes)) {
      fail(where, "the file must be whole; got the end within its header in ", file_.name());
    }
    return big_ ? big_endian(text, bytes) : little_endian(text, bytes);
  }

  std::string name_at(uint64_t at) { return std::string(file_.view(at, 4)); }

  /// Whether chunks follow each other from `at` to the end of the file.
  bool chunks_follow(uint64_t at) {
    while (at + 8 <= file_.size()) {
      if (!is_chunk_name(file_.view(at, 4))) {
        return false;
      }
      const uint64_t size = number(at + 4, 4);
      at += 8 + size + (size & 1U);
    }
    return at == file_.size() || at == file_.size() + 1;
  }

  /// How many bytes of samples begin at `at`: `told` by their own size, or by what is there.
  /// @param vouched  the outer size says that the file ends where it does
  uint64_t bytes_of_samples(uint64_t at, uint64_t told, bool vouched) {
    const uint64_t there = file_.size() - std::min(at, file_.size());
    if (told == 0 && there > 0) {
      return chunks_follow(at) ? 0 : there;
    }
    if (told > there) {
      if (!vouched && !is_placeholder(told)) {
        fail(where, "the file must be whole; got ", there, " of ", told,
             " bytes of samples that its header promises in ", file_.name());
      }
      return there;
    }
    if (there - told > junk_limit) {
      require_no_samples(at + told, there - told);
    }
    return told;
  }

  /// What lies behind the samples must be chunks, a tag or zeros: otherwise the size is wrong, or sound is left out.
  void require_no_samples(uint64_t at, uint64_t bytes) {
    const uint64_t chunk = at + (at & 1U);
    for (const uint64_t next : {at, chunk}) {
      const std::string_view head = file_.view(next, 8);
      if (chunked_ && head.size() == 8 && is_chunk_name(head.substr(0, 4))) {
        return;
      }
    }
    for (uint64_t next = at; next < file_.size(); next += 4096) {
      if (file_.view(next, 4096).find_first_not_of('\0') != std::string_view::npos) {
        fail(where, "the header must tell how many samples there are; got ", bytes,
             " bytes behind them that are no chunk in ", file_.name(), ": write the file anew, or cut them off");
      }
    }
  }

  /// The header with its sizes mended, then the samples.
  Layout mended(uint64_t at, uint64_t bytes, const std::vector<Field>& fields, std::optional<uint64_t> block) {
    std::string head(file_.view(0, static_cast<std::size_t>(at)));
    for (const Field& field : fields) {
      if (field.bytes == 4 && field.value > 0xFFFFFFFF) {
        fail(where, "a header of 32 bits must tell the size; got ", bytes, " bytes of samples in ", file_.name(),
             ": write the file as FLAC or RF64");
      }
      head.replace(field.at, static_cast<std::size_t>(field.bytes),
                   big_ ? big_endian_text(field.value, field.bytes) : little_endian_text(field.value, field.bytes));
    }
    Link link;
    link.pieces = {{0, 0, std::move(head)}};
    if (bytes > 0) {
      link.pieces.push_back({at, bytes, {}});
    }
    if ((bytes & 1U) != 0) {
      link.pieces.push_back({0, 0, std::string(1, '\0')});
    }
    if (block && *block > 0) {
      link.samples = static_cast<int64_t>(bytes / *block);
    }
    link.seekable = link.samples.has_value();
    return {{std::move(link)}, true};
  }

  /// Bytes of a sample of all channels, by the body of a WAV's format chunk; none where they are packed otherwise.
  std::optional<uint64_t> wav_block(uint64_t at) {
    const uint64_t tag = number(at, 2);
    const uint64_t channels = number(at + 2, 2);
    const uint64_t block = number(at + 12, 2);
    const uint64_t bits = number(at + 14, 2);
    const bool plain = tag == 1 || tag == 3 || tag == 6 || tag == 7 || tag == 0xFFFE;
    if (!plain) {
      return std::nullopt;
    }
    const uint64_t width = (bits + 7) / 8;
    constexpr uint64_t widest = 8;
    if (channels == 0 || block % channels != 0 || block / channels < width || block / channels > widest) {
      fail(where, "a sample's bytes must be channels x bytes of a value; got a block of ", block, " bytes for ",
           channels, " channels of ", bits, " bits in ", file_.name());
    }
    return block == channels * width ? std::optional(block) : std::nullopt;
  }

  Layout riff(bool big, bool large) {
    big_ = big;
    if (file_.view(8, 4) != "WAVE") {
      return {};
    }
    const uint64_t outer = number(4, 4);
    uint64_t sizes = 0;  // where RF64 has those that need 64 bits
    std::optional<uint64_t> block;
    for (uint64_t at = 12; at + 8 <= file_.size();) {
      const std::string name = name_at(at);
      uint64_t told = number(at + 4, 4);
      const uint64_t body = at + 8;
      if (name == "data") {
        const bool in_sizes = large && sizes > 0 && told == 0xFFFFFFFF;
        told = in_sizes ? number(sizes + 8, 8) : told;
        const uint64_t end = 8 + (large && sizes > 0 && outer == 0xFFFFFFFF ? number(sizes, 8) : outer);
        const uint64_t bytes = bytes_of_samples(body, told, end == file_.size());
        const uint64_t total = body - 8 + bytes + (bytes & 1U);
        if (!in_sizes) {
          return mended(body, bytes, {{4, 4, large ? 0xFFFFFFFF : total}, {at + 4, 4, bytes}}, block);
        }
        std::vector<Field> fields = {{sizes, 8, total}, {sizes + 8, 8, bytes}};
        if (block) {
          fields.push_back({sizes + 16, 8, bytes / *block});
        }
        return mended(body, bytes, fields, block);
      }
      if (name == "fmt " && told >= 16 && body + 16 <= file_.size()) {
        block = wav_block(body);
      } else if (name == "ds64" && told >= 24 && body + 24 <= file_.size()) {
        sizes = body;
      }
      at = body + told + (told & 1U);
    }
    return {};
  }

  Layout wave64() {
    std::optional<uint64_t> block;
    const bool vouched = number(16, 8) == file_.size();
    chunked_ = false;
    for (uint64_t at = 40; at + 24 <= file_.size();) {
      const std::string name = name_at(at);
      const uint64_t told = number(at + 16, 8);
      const uint64_t body = at + 24;
      if (name == "data") {
        const uint64_t bytes = bytes_of_samples(body, told < 24 ? 0 : told - 24, vouched);
        return mended(body, bytes, {{16, 8, body + bytes}, {at + 16, 8, 24 + bytes}}, block);
      }
      if (name == "fmt " && body + 16 <= file_.size()) {
        block = wav_block(body);
      }
      if (told < 24 || told > file_.size()) {
        break;
      }
      at += (told + 7) / 8 * 8;
    }
    return {};
  }

  Layout au(bool big) {
    big_ = big;
    chunked_ = false;
    const uint64_t at = number(4, 4);
    const uint64_t told = number(8, 4);
    const uint64_t encoding = number(12, 4);
    const uint64_t channels = number(20, 4);
    if (at < 24 || at > file_.size() || at > 1U << 24U) {
      return {};
    }
    constexpr std::array<uint64_t, 8> widths = {0, 1, 1, 2, 3, 4, 4, 8};  // mu-law, 8 to 32 bits, float, double
    const uint64_t a_law = encoding == 27 ? 1 : 0;
    const uint64_t width = encoding < widths.size() ? widths.at(encoding) : a_law;
    const uint64_t bytes = bytes_of_samples(at, told, false);
    return mended(at, bytes, {{8, 4, bytes}}, width > 0 ? std::optional(width * channels) : std::nullopt);
  }

  Layout aiff() {
    big_ = true;
    const std::string kind = name_at(8);
    if (kind != "AIFF" && kind != "AIFC") {
      return {};
    }
    uint64_t common = 0;
    uint64_t sound = 0;
    uint64_t told = 0;
    for (uint64_t at = 12; at + 8 <= file_.size();) {
      const std::string name = name_at(at);
      const uint64_t size = number(at + 4, 4);
      if (name == "COMM" && size >= 18) {
        common = at + 8;
      } else if (name == "SSND") {
        sound = at + 8;
        told = size;
        if (common > 0) {
          break;
        }
      }
      at += 8 + size + (size & 1U);
    }
    if (common == 0 || sound == 0 || sound + 8 > file_.size() || common + 18 > file_.size()) {
      return {};
    }
    const uint64_t skipped = number(sound, 4);
    const std::string code = kind == "AIFC" ? name_at(common + 18) : "NONE";
    constexpr std::array<std::string_view, 8> plain = {"NONE", "twos", "sowt", "in24", "in32", "fl32", "FL32", "fl64"};
    const uint64_t channels = number(common, 2);
    const uint64_t frames = number(common + 2, 4);
    const uint64_t block = channels * ((number(common + 6, 2) + 7) / 8);
    const uint64_t at = sound + 8 + skipped;
    if (std::ranges::find(plain, code) == plain.end() || block == 0 || at > file_.size() || common > sound) {
      return {};
    }
    const uint64_t outer = 8 + number(4, 4);
    const bool vouched = outer == file_.size();
    const bool open = told <= 8 + skipped;
    uint64_t bytes = bytes_of_samples(at, open ? 0 : told - 8 - skipped, vouched);
    if (frames > 0 && !is_placeholder(frames)) {
      if (frames * block > bytes) {
        fail(where, "the file must be whole; got ", bytes / block, " of ", frames,
             " samples that its header promises in ", file_.name());
      }
      if (bytes - frames * block > junk_limit) {
        require_no_samples(at + frames * block, bytes - frames * block);
      }
      bytes = frames * block;
    }
    const uint64_t whole = bytes / block;
    return mended(at, whole * block,
                  {{4, 4, at + whole * block - 8}, {common + 2, 4, whole}, {sound - 4, 4, 8 + skipped + whole * block}},
                  block);
  }

  AudioSource& file_;
  bool big_ = false;
  bool chunked_ = true;
};

}  // namespace

Layout chunk_layout(AudioSource& file) { return Header(file).layout(); }

}  // namespace brain2music::io
