// Ogg (RFC 3533): pages of logical streams, one after the other in links. libsndfile reads the first link alone, and
// skips pages that are damaged without a word.
#include <algorithm>
#include <array>
#include <map>

#include "brain2music/check.h"
#include "brain2music/io/audio_layout.h"

namespace brain2music::io {
namespace {

constexpr auto where = "io.load_audio";

constexpr std::size_t flac_prefix = 9;  // bytes before FLAC proper in the first page of FLAC in Ogg

constexpr std::array<uint32_t, 256> crc_table = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i << 24U;
    for (int bit = 0; bit < 8; ++bit) {
      value = value << 1U ^ ((value & 0x80000000U) != 0 ? 0x04C11DB7U : 0U);
    }
    table.at(i) = value;
  }
  return table;
}();

uint32_t crc_of(std::string_view bytes, uint32_t crc = 0) {
  for (const char c : bytes) {
    crc = crc << 8U ^ crc_table[(crc >> 24U ^ static_cast<unsigned char>(c)) & 0xFFU];
  }
  return crc;
}

/// CRC of a page, whose own CRC counts as zeros.
uint32_t page_crc(std::string_view page) {
  constexpr std::array<char, 4> zeros{};
  return crc_of(page.substr(26), crc_of({zeros.data(), 4}, crc_of(page.substr(0, 22))));
}

struct Page {
  uint64_t at = 0;
  uint64_t bytes = 0;
  bool first = false;
  bool last = false;
  int64_t granule = 0;
  uint64_t serial = 0;
  uint64_t number = 0;
  std::string_view content;  // until the file is viewed again
};

/// One logical stream of a link.
struct Stream {
  bool sound = false;
  bool ended = false;
  bool flac = false;
  uint64_t next = 0;  // page
  uint64_t pages = 0;
  int64_t granule = 0;
  std::string head;  // of FLAC: "fLaC" and STREAMINFO
  std::vector<Piece> pieces;
};

class Walk {
 public:
  explicit Walk(AudioSource& file) : file_(file) {}

  Layout links() {
    at_ = id3_length(file_, 0);
    const uint64_t end = end_before_tags(file_, at_);
    bool heads = false;  // pages that begin streams stand together, at the begin of a link
    while (at_ < end) {
      if (!file_.view(at_, 4).starts_with("OggS") && only_zeros(end)) {
        break;
      }
      const Page page = next_page(end);
      if (page.first && !heads) {
        close();
      }
      heads = page.first;
      add(page);
      at_ += page.bytes;
    }
    close();
    if (layout_.links.empty()) {
      fail(where, "an Ogg file must hold a stream of sound; got none in ", file_.name());
    }
    return std::move(layout_);
  }

 private:
  bool only_zeros(uint64_t end) {
    for (uint64_t at = at_; at < end; at += 4096) {
      if (file_.view(at, static_cast<std::size_t>(std::min<uint64_t>(4096, end - at))).find_first_not_of('\0') !=
          std::string_view::npos) {
        return false;
      }
    }
    return true;
  }

  Page next_page(uint64_t end) {
    const std::string_view head = file_.view(at_, 27 + 255);
    uint64_t bytes = head.size() < 27 ? 27 : 27 + static_cast<unsigned char>(head[26]);
    const uint64_t content = bytes;
    if (head.size() >= bytes) {
      for (const char c : head.substr(27, static_cast<std::size_t>(bytes) - 27)) {
        bytes += static_cast<unsigned char>(c);
      }
    }
    if (!head.starts_with("OggS") && head.size() >= 4) {
      fail(where, "the file must be whole; got no Ogg page where one must follow, at byte ", at_, " of ", file_.size(),
           " in ", file_.name());
    }
    if (head.size() < content || at_ + bytes > end) {
      fail(where, "the file must be whole; got ", end - at_, " of ", bytes, " bytes of its last Ogg page in ",
           file_.name());
    }
    const std::string_view text = file_.view(at_, static_cast<std::size_t>(bytes));
    if (text.size() != bytes || text[4] != 0 || page_crc(text) != little_endian(text.substr(22), 4)) {
      fail(where, "the file must be whole; got a damaged Ogg page (its checksum differs) at byte ", at_, " in ",
           file_.name());
    }
    const auto flags = static_cast<unsigned char>(text[5]);
    Page page;
    page.at = at_;
    page.bytes = bytes;
    page.first = (flags & 2U) != 0;
    page.last = (flags & 4U) != 0;
    page.granule = static_cast<int64_t>(little_endian(text.substr(6), 8));
    page.serial = little_endian(text.substr(14), 4);
    page.number = little_endian(text.substr(18), 4);
    page.content = text.substr(static_cast<std::size_t>(content));
    return page;
  }

  void add(const Page& page) {
    const bool known = streams_.contains(page.serial);
    if (known == page.first) {
      fail(where, "a stream must begin once; got ", page.first ? "a second beginning" : "none", " of Ogg stream ",
           page.serial, " at byte ", page.at, " in ", file_.name());
    }
    Stream& stream = streams_[page.serial];
    if (page.first) {
      const std::string_view head = page.content;
      stream.flac = head.starts_with(
          "\x7f"
          "FLAC");
      stream.sound =
          stream.flac || head.starts_with("\x01vorbis") || head.starts_with("OpusHead") || head.starts_with("Speex   ");
      stream.next = page.number;
      if (stream.flac) {
        stream.head = head.substr(std::min<std::size_t>(flac_prefix, head.size()));
      }
    }
    if (page.number != stream.next) {
      fail(where, "the file must be whole; got Ogg page ", page.number, " where page ", stream.next,
           " must follow, at byte ", page.at, " in ", file_.name());
    }
    if (stream.ended) {
      fail(where, "a stream must end once; got Ogg pages behind its end at byte ", page.at, " in ", file_.name());
    }
    stream.next = (page.number + 1) & 0xFFFFFFFFU;
    ++stream.pages;
    stream.ended = page.last;
    if (page.granule >= 0 && page.granule < stream.granule) {
      fail(where, "the file must be whole; got an Ogg page that lies before the last one in time (", page.granule,
           " samples after ", stream.granule, ") at byte ", page.at, " in ", file_.name());
    }
    stream.granule = page.granule >= 0 ? page.granule : stream.granule;  // -1 where no packet ends in the page
    if (stream.flac && !page.first) {
      stream.pieces.push_back({page.at + page.bytes - page.content.size(), page.content.size(), {}});
    } else if (!stream.pieces.empty() && stream.pieces.back().offset + stream.pieces.back().size == page.at) {
      stream.pieces.back().size += page.bytes;
    } else if (!stream.flac) {
      stream.pieces.push_back({page.at, page.bytes, {}});
    }
  }

  /// Makes a link of the stream of sound among those since the last link.
  void close() {
    if (streams_.empty()) {
      return;
    }
    Stream* found = nullptr;
    for (auto& [serial, stream] : streams_) {
      if (stream.sound && found != nullptr) {
        fail(where, "an Ogg file must hold one stream of sound at a time; got two in ", file_.name());
      }
      found = stream.sound ? &stream : found;
    }
    if (found == nullptr) {
      fail(where, "an Ogg file must hold Vorbis, Opus, FLAC or Speex; got a stream of none of these in ", file_.name());
    }
    if (!found->ended) {
      fail(where, "the file must be whole; got an Ogg stream without its last page, before byte ", at_, " in ",
           file_.name());
    }
    Link link{std::move(found->pieces), std::nullopt, false, true};
    if (found->flac) {
      unwrap(*found, link);
    }
    layout_.links.push_back(std::move(link));
    streams_.clear();
  }

  /// libsndfile reads no FLAC in Ogg: the packets without their pages are FLAC as it reads it. Its length may be left
  /// open at the beginning; the last page tells it.
  void unwrap(Stream& stream, Link& link) {
    constexpr std::size_t length_at = 4 + 4 + 13;  // behind "fLaC", the block's head and other fields
    if (stream.head.size() < 4 + 4 + 34 || !stream.head.starts_with("fLaC")) {
      fail(where, "FLAC in Ogg must begin with its STREAMINFO; got something else in ", file_.name());
    }
    constexpr uint64_t mask = 0xFFFFFFFFFULL;
    const uint64_t field = big_endian(std::string_view(stream.head).substr(length_at), 5);
    const auto counted = static_cast<uint64_t>(stream.granule);
    if (counted < (field & mask) || counted > mask) {
      fail(where, "the file must be whole; got ", counted, " of ", field & mask,
           " samples that its header promises in ", file_.name());
    }
    stream.head.replace(length_at, 5, big_endian_text((field & ~mask) | counted, 5));
    link.pieces.insert(link.pieces.begin(), {0, 0, stream.head});
    link.samples = stream.granule;
    link.seekable = true;
    link.open = false;
  }

  AudioSource& file_;
  uint64_t at_ = 0;
  std::map<uint64_t, Stream> streams_;
  Layout layout_{{}, true};
};

}  // namespace

Layout ogg_layout(AudioSource& file) { return Walk(file).links(); }

}  // namespace brain2music::io
