#include "brain2music/io/audio_layout.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <string>

namespace brain2music::io {
namespace {

/// Number of an ID3v2 tag: 7 bits a byte.
uint64_t synchsafe(std::string_view text) {
  uint64_t number = 0;
  for (int i = 0; i < 4; ++i) {
    number = number << 7U | (static_cast<unsigned char>(text[i]) & 0x7FU);
  }
  return number;
}

/// Whether libsndfile knows the file by its first bytes, and not as MPEG, which it looks for further on.
bool is_known_otherwise(const AudioSource& file) {
  PiecedFile pieces(file, {{0, file.size(), {}}});
  SF_VIRTUAL_IO functions = PiecedFile::functions();
  SF_INFO info{};
  SNDFILE* opened = sf_open_virtual(&functions, SFM_READ, &info, &pieces);
  if (opened != nullptr) {
    sf_close(opened);
  }
  return opened != nullptr && (info.format & SF_FORMAT_TYPEMASK) != sf_format_mpeg;
}

}  // namespace

uint64_t id3_length(AudioSource& file, uint64_t offset) {
  uint64_t at = offset;
  while (true) {
    const std::string_view head = file.view(at, 10);
    if (head.size() < 10 || !head.starts_with("ID3") || head[3] == '\xff') {
      return at - offset;
    }
    const bool footer = (static_cast<unsigned char>(head[5]) & 0x10U) != 0;
    at = std::min(file.size(), at + 10 + synchsafe(head.substr(6)) + (footer ? 10 : 0));
  }
}

uint64_t end_before_tags(AudioSource& file, uint64_t first) {
  uint64_t end = file.size();
  const auto take = [&](uint64_t bytes) {
    const bool fits = bytes > 0 && bytes <= end - first;
    end -= fits ? bytes : 0;
    return fits;
  };
  const auto tail = [&](uint64_t bytes, std::size_t count) {
    return end - first >= bytes ? file.view(end - bytes, count) : std::string_view();
  };
  while (true) {
    if (tail(128, 3) == "TAG") {
      take(128);
      if (tail(227, 4) == "TAG+") {
        take(227);
      }
      continue;
    }
    if (const auto ape = tail(32, 32); ape.starts_with("APETAGEX")) {
      const uint64_t flags = little_endian(ape.substr(20), 4);
      const uint64_t bytes = little_endian(ape.substr(12), 4) + ((flags & 0x80000000U) != 0 ? 32 : 0);
      const bool is_header = (flags & 0x20000000U) != 0;  // of a tag whose rest is missing
      const bool headed = (flags & 0x80000000U) == 0 || tail(bytes, 8) == "APETAGEX";
      if (take(is_header || !headed ? 32 : bytes)) {
        continue;
      }
    }
    if (const auto lyrics = tail(15, 15); lyrics.ends_with("LYRICS200")) {
      uint64_t bytes = 0;
      const std::string digits(lyrics.substr(0, 6));
      const char* const behind = digits.data() + digits.size();
      const auto [stop, error] = std::from_chars(digits.data(), behind, bytes);
      if (error == std::errc{} && stop == behind && take(bytes + 15)) {
        continue;
      }
    } else if (lyrics.ends_with("LYRICSEND")) {
      const uint64_t span = std::min<uint64_t>(end - first, 5200);
      const auto at = tail(span, static_cast<std::size_t>(span)).rfind("LYRICSBEGIN");
      if (at != std::string_view::npos && take(span - at)) {
        continue;
      }
    }
    if (const auto footer = tail(10, 10); footer.starts_with("3DI") && take(synchsafe(footer.substr(6)) + 20)) {
      continue;
    }
    return end;
  }
}

Layout audio_layout(AudioSource& file, bool whole) {
  const uint64_t start = id3_length(file, 0);
  const std::string_view head = file.view(start, 4);
  if (head == "OggS") {
    return ogg_layout(file);
  }
  if (head == "fLaC") {
    return flac_layout(file, start, whole);
  }
  if (Layout layout = chunk_layout(file); !layout.links.empty()) {
    return layout;
  }
  if (!is_known_otherwise(file)) {
    if (Layout layout = mpeg_layout(file, start); !layout.links.empty()) {
      return layout;
    }
  }
  Link all;
  all.pieces = {{0, file.size(), {}}};
  return {{std::move(all)}, false};
}

}  // namespace brain2music::io
