// FLAC (RFC 9639): its header may leave the length open, but every frame tells its place. The last frame tells the
// length, and by its checksum that it is whole.
#include <algorithm>
#include <array>
#include <optional>

#include "brain2music/check.h"
#include "brain2music/io/audio_layout.h"

namespace brain2music::io {
namespace {

constexpr auto where = "io.load_audio";

constexpr std::size_t info_at = 8;         // STREAMINFO, behind "fLaC" and the block's head
constexpr std::size_t length_at = 8 + 13;  // 4 bits of something else, then 36 of the length
constexpr uint64_t length_mask = 0xFFFFFFFFFULL;

template <class Number, Number polynomial>
constexpr std::array<Number, 256> crc_table = [] {
  std::array<Number, 256> table{};
  constexpr int bits = 8 * sizeof(Number);
  for (unsigned i = 0; i < 256; ++i) {
    auto value = static_cast<Number>(i << (bits - 8));
    for (int bit = 0; bit < 8; ++bit) {
      const bool carried = (value >> (bits - 1) & 1) != 0;
      value = static_cast<Number>(static_cast<Number>(value << 1) ^ (carried ? polynomial : 0));
    }
    table.at(i) = value;
  }
  return table;
}();

uint8_t crc8(std::string_view bytes) {
  uint8_t crc = 0;
  for (const char c : bytes) {
    crc = crc_table<uint8_t, 0x07>[crc ^ static_cast<unsigned char>(c)];
  }
  return crc;
}

uint16_t crc16(std::string_view bytes) {
  uint16_t crc = 0;
  for (const char c : bytes) {
    const auto index = static_cast<uint8_t>(crc >> 8U ^ static_cast<unsigned char>(c));
    crc = static_cast<uint16_t>(crc << 8U ^ crc_table<uint16_t, 0x8005>[index]);
  }
  return crc;
}

struct FlacFrame {
  bool by_sample = false;  // whether `number` counts samples or frames
  uint64_t number = 0;
  uint64_t samples = 0;
};

std::optional<FlacFrame> flac_frame(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  if (text.size() < 6 || byte(0) != 0xFF || (byte(1) & 0xFEU) != 0xF8) {
    return std::nullopt;
  }
  FlacFrame frame;
  frame.by_sample = (byte(1) & 1U) != 0;
  std::size_t at = 5;
  const unsigned lead = byte(4);  // a number as UTF-8 writes it, of up to 36 bits
  int more = 0;
  while (more < 7 && (lead << static_cast<unsigned>(more) & 0x80U) != 0) {
    ++more;
  }
  if (more == 1 || (lead == 0xFF)) {
    return std::nullopt;
  }
  frame.number = more == 0 ? lead : lead & (0x7FU >> static_cast<unsigned>(more));
  for (int i = 1; i < more; ++i, ++at) {
    if ((byte(at) & 0xC0U) != 0x80) {
      return std::nullopt;
    }
    frame.number = frame.number << 6U | (byte(at) & 0x3FU);
  }
  const unsigned size = byte(2) >> 4U;
  const unsigned rate = byte(2) & 15U;
  if (size == 0 || rate == 15) {
    return std::nullopt;
  }
  if (size == 6) {
    frame.samples = byte(at) + 1;
    at += 1;
  } else if (size == 7) {
    frame.samples = (byte(at) << 8U | byte(at + 1)) + 1;
    at += 2;
  } else if (size == 1) {
    frame.samples = 192;
  } else {
    frame.samples = size < 6 ? 576ULL << (size - 2) : 256ULL << (size - 8);
  }
  if (rate >= 12) {
    at += rate == 12 ? 1 : 2;
  }
  if (at >= text.size() || crc8(text.substr(0, at)) != byte(at)) {
    return std::nullopt;
  }
  return frame;
}

/// The frame that ends exactly at `end`.
std::optional<FlacFrame> frame_that_ends_at(AudioSource& file, uint64_t start, uint64_t end) {
  constexpr uint64_t longest = 65535ULL * 8 * 4 + 4096;  // a frame without any compression
  for (uint64_t span = 1U << 15U;; span *= 4) {
    span = std::min({span, end - start, longest});
    const std::string_view tail = file.view(end - span, static_cast<std::size_t>(span));
    for (auto at = tail.rfind('\xff'); at != std::string_view::npos;
         at = at > 0 ? tail.rfind('\xff', at - 1) : tail.npos) {
      if (const auto frame = flac_frame(tail.substr(at)); frame && crc16(tail.substr(at)) == 0) {
        return frame;
      }
    }
    if (span == std::min(end - start, longest)) {
      return std::nullopt;
    }
  }
}

std::optional<FlacFrame> last_frame(AudioSource& file, uint64_t start, uint64_t end) {
  if (auto frame = frame_that_ends_at(file, start, end)) {
    return frame;
  }
  uint64_t filled = end;  // without zeros that fill up a sector; some of them may be the frame's
  while (filled > start && file.view(filled - 1, 1)[0] == '\0') {
    --filled;
  }
  for (uint64_t more = 0; more < 3 && filled + more < end; ++more) {
    if (auto frame = frame_that_ends_at(file, start, filled + more)) {
      return frame;
    }
  }
  return std::nullopt;
}

/// Where the next stream begins, if there is one before `end`.
std::optional<uint64_t> next_stream(AudioSource& file, uint64_t from, uint64_t end) {
  constexpr std::size_t step = 1U << 20U;
  for (uint64_t at = from; at < end; at += step - 8) {
    const std::string_view text = file.view(at, static_cast<std::size_t>(std::min<uint64_t>(step, end - at)));
    for (auto found = text.find("fLaC"); found != std::string_view::npos; found = text.find("fLaC", found + 1)) {
      const std::string_view head = text.substr(found, 8);
      if (head.size() == 8 && (head[4] & 0x7F) == 0 && big_endian(head.substr(5), 3) == 34) {
        return at + found;
      }
    }
  }
  return std::nullopt;
}

/// Where the frames begin, behind all blocks of metadata.
uint64_t frames_from(AudioSource& file, uint64_t start, uint64_t end) {
  uint64_t at = start + 4;
  for (bool last = false; !last;) {
    const std::string_view head = file.view(at, 4);
    if (head.size() < 4) {
      fail(where, "the file must be whole; got the end within FLAC's header in ", file.name());
    }
    if (at == start + 4 && ((head[0] & 0x7F) != 0 || big_endian(head.substr(1), 3) != 34)) {
      fail(where, "FLAC must begin with its STREAMINFO of 34 bytes; got another block in ", file.name());
    }
    last = (head[0] & 0x80) != 0;
    at += 4 + big_endian(head.substr(1), 3);
    if (at > end) {
      fail(where, "the file must be whole; got the end within FLAC's header in ", file.name());
    }
  }
  return at;
}

struct Stream {
  uint64_t told = 0;  // samples, by the header; 0 where it leaves that open
  std::optional<uint64_t> counted;
  bool ends = false;  // with a whole frame, or without any
  std::string head;   // up to the length's end
};

Stream look_at(AudioSource& file, uint64_t start, uint64_t end) {
  Stream stream;
  const uint64_t frames = frames_from(file, start, end);
  stream.head = file.view(start, length_at + 5);
  const std::string_view info = stream.head;
  stream.told = big_endian(info.substr(length_at), 5) & length_mask;
  const uint64_t smallest = big_endian(info.substr(info_at), 2);
  const uint64_t largest = big_endian(info.substr(info_at + 2), 2);
  if (frames == end) {
    stream.ends = true;
    stream.counted = 0;
  } else if (const auto frame = last_frame(file, frames, end)) {
    stream.ends = true;
    if (frame->by_sample) {
      stream.counted = frame->number + frame->samples;
    } else if (smallest == largest || frame->number == 0) {
      stream.counted = frame->number * largest + frame->samples;
    }
  }
  return stream;
}

Link link_of(AudioSource& file, uint64_t start, uint64_t end, Stream stream) {
  if (!stream.ends) {
    fail(where, "the file must be whole; got FLAC that does not end with a whole frame in ", file.name());
  }
  if (stream.counted && stream.told > *stream.counted) {
    fail(where, "the file must be whole; got ", *stream.counted, " of ", stream.told,
         " samples that its header promises in ", file.name());
  }
  Link link;
  // Without a count, the length is as open as can be: libsndfile stops where the frames do.
  const uint64_t length = stream.counted.value_or(stream.told > 0 ? stream.told : length_mask);
  if (stream.counted) {
    link.samples = static_cast<int64_t>(length);
  }
  link.seekable = stream.counted.has_value();
  link.open = !stream.counted && stream.told == 0;
  const uint64_t kept = big_endian(std::string_view(stream.head).substr(length_at), 5) & ~length_mask;
  stream.head.replace(length_at, 5, big_endian_text(kept | length, 5));
  const uint64_t size = stream.head.size();
  link.pieces = {{0, 0, std::move(stream.head)}, {start + size, end - start - size, {}}};
  return link;
}

}  // namespace

Layout flac_layout(AudioSource& file, uint64_t start, bool whole) {
  const uint64_t end = end_before_tags(file, start);
  if (!whole) {
    const Stream stream = look_at(file, start, end);
    if (stream.ends && stream.told > 0 && stream.counted == stream.told) {
      return {{link_of(file, start, end, stream)}, true};
    }
  }
  Layout layout{{}, true};
  for (uint64_t at = start; at < end;) {
    const uint64_t stop = next_stream(file, at + 4, end).value_or(end);
    layout.links.push_back(link_of(file, at, stop, look_at(file, at, stop)));
    at = stop;
  }
  return layout;
}

}  // namespace brain2music::io
