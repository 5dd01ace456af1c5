// MPEG audio has no container: a file is frames one after the other, with tags around them. Every frame's header is
// read, because a length is otherwise an estimate from the first frame's bit rate.
#include <algorithm>
#include <array>
#include <optional>

#include "brain2music/check.h"
#include "brain2music/io/audio_layout.h"

namespace brain2music::io {
namespace {

constexpr auto where = "io.load_audio";

/// Bytes before the first frame in which it is looked for.
constexpr uint64_t garbage_limit = 1U << 16U;

struct FrameHeader {
  int version = 0;  // 1, 2 or 25 (2.5)
  int layer = 0;
  int64_t bit_rate = 0;  // bits a second; 0 for "free"
  int64_t rate = 0;      // samples a second
  int channels = 0;
  bool checked = false;  // a CRC follows the header
  int64_t samples = 0;
  uint64_t bytes = 0;

  /// Whether a decoder could go on from one to the other.
  bool matches(const FrameHeader& other) const {
    return version == other.version && layer == other.layer && rate == other.rate && channels == other.channels;
  }
};

constexpr std::array<std::array<int, 15>, 5> bit_rates = {{
    {0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},  // version 1, layer I
    {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},     // version 1, layer II
    {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},      // version 1, layer III
    {0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},     // versions 2 and 2.5, layer I
    {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},          // versions 2 and 2.5, layers II and III
}};

std::optional<FrameHeader> frame_header(std::string_view text) {
  if (text.size() < 4) {
    return std::nullopt;
  }
  const uint64_t bits = big_endian(text, 4);
  const uint64_t version = bits >> 19U & 3U;
  const uint64_t layer = 4 - (bits >> 17U & 3U);
  const uint64_t bit_rate = bits >> 12U & 15U;
  const uint64_t rate = bits >> 10U & 3U;
  if (bits >> 21U != 0x7FF || version == 1 || layer == 4 || bit_rate == 15 || rate == 3) {
    return std::nullopt;
  }
  FrameHeader frame;
  constexpr std::array<int, 4> versions = {25, 0, 2, 1};
  frame.version = versions.at(version);
  frame.layer = static_cast<int>(layer);
  const std::size_t other = layer == 1 ? 3 : 4;
  const std::size_t table = frame.version == 1 ? layer - 1 : other;
  frame.bit_rate = 1000LL * bit_rates.at(table).at(bit_rate);
  constexpr std::array<int64_t, 3> rates = {44100, 48000, 32000};
  constexpr std::array<int64_t, 4> divisors = {4, 1, 2, 1};
  frame.rate = rates.at(rate) / divisors.at(version);
  frame.channels = (bits >> 6U & 3U) == 3 ? 1 : 2;
  frame.checked = (bits >> 16U & 1U) == 0;
  const auto padding = static_cast<int64_t>(bits >> 9U & 1U);
  const int64_t many = layer == 3 && frame.version != 1 ? 576 : 1152;
  frame.samples = layer == 1 ? 384 : many;
  frame.bytes = static_cast<uint64_t>(layer == 1 ? (12 * frame.bit_rate / frame.rate + padding) * 4
                                                 : frame.samples / 8 * frame.bit_rate / frame.rate + padding);
  return frame;
}

/// Whether frames follow each other from `at`: three, or with `few` fewer that end with the file. Behind bytes that are
/// no frame fewer than three prove nothing: any bytes hold what looks like one.
bool frames_follow(AudioSource& file, uint64_t at, bool few) {
  std::optional<FrameHeader> before;
  for (int count = 0; count < 3; ++count) {
    if (count > 0 && at + 4 > file.size()) {
      return few;
    }
    const auto frame = frame_header(file.view(at, 4));
    if (!frame || (before && !before->matches(*frame))) {
      return few && count > 0 && !frame && at >= end_before_tags(file, 0);
    }
    if (frame->bit_rate == 0) {
      return false;  // its length is not told
    }
    before = frame;
    at += frame->bytes;
  }
  return true;
}

std::optional<uint64_t> first_frame(AudioSource& file, uint64_t from, uint64_t limit) {
  const uint64_t last = std::min(file.size(), from + limit);
  for (uint64_t at = from; at < last; ++at) {
    const std::string_view ahead = file.view(at, 4096);
    const auto sync = ahead.find('\xff');
    if (sync == std::string_view::npos) {
      at += ahead.size() - 1;
      continue;
    }
    at += sync;
    if (at < last && frames_follow(file, at, /*few=*/at == from)) {
      return at;
    }
  }
  return std::nullopt;
}

/// The first frame of most files holds no sound but says how many frames there are.
struct InfoFrame {
  std::optional<uint64_t> frames;
  std::size_t count_at = 0;  // where the frame holds their number, if it does as libsndfile reads it
};

std::optional<InfoFrame> info_frame(std::string_view bytes, const FrameHeader& frame) {
  if (frame.layer != 3) {
    return std::nullopt;
  }
  const std::size_t larger = frame.channels == 2 ? 32 : 17;
  const std::size_t smaller = frame.channels == 2 ? 17 : 9;
  const std::size_t side = frame.version == 1 ? larger : smaller;
  for (const std::size_t at : {4 + side, 6 + side}) {  // some writers leave room for the CRC
    if (at == 6 + side && !frame.checked) {
      break;
    }
    const std::string_view tag = bytes.size() >= at + 12 ? bytes.substr(at) : std::string_view();
    if (tag.starts_with("Xing") || tag.starts_with("Info")) {
      InfoFrame info;
      if ((big_endian(tag.substr(4), 4) & 1U) != 0) {
        info.frames = big_endian(tag.substr(8), 4);
        info.count_at = at + 8;
      }
      return info;
    }
  }
  if (bytes.size() >= 4 + 32 + 18 && bytes.substr(36).starts_with("VBRI")) {
    InfoFrame info;
    info.frames = big_endian(bytes.substr(36 + 14), 4);
    return info;
  }
  return std::nullopt;
}

/// Reads frames, and starts a link with every frame that tells a count: there, files were joined.
class Walk {
 public:
  Walk(AudioSource& file, uint64_t first) : file_(file), at_(first), end_(end_before_tags(file, first)) {}

  Layout links() {
    while (at_ < end_) {
      const std::string_view head = file_.view(at_, 4);
      const auto frame = frame_header(head);
      if (frame && (!frame_ || frame->matches(*frame_))) {
        if (!take(*frame)) {
          break;
        }
      } else if (frame && frames_follow(file_, at_, /*few=*/true)) {
        fail(where, "a file must keep one rate and number of channels; got MPEG frames of ", frame_->rate, " Hz, ",
             frame_->channels, " channels and from byte ", at_, " on of ", frame->rate, " Hz, ", frame->channels,
             " channels in ", file_.name());
      } else if (!skip_tag()) {
        stop();
        break;
      }
    }
    close();
    return std::move(layout_);
  }

 private:
  bool satisfied() const { return info_ && info_->frames && *info_->frames > 0 && count_ == *info_->frames; }

  /// False where the frame is not whole, and need not be.
  bool take(const FrameHeader& frame) {
    if (frame.bit_rate == 0) {
      fail(where, "MPEG frames must tell their bit rate; got one of free format at byte ", at_, " in ", file_.name(),
           ": write the file anew");
    }
    if (at_ + frame.bytes > end_) {
      if (satisfied()) {
        return false;
      }
      fail(where, "the file must be whole; got ", end_ - at_, " of ", frame.bytes, " bytes of its last MPEG frame in ",
           file_.name());
    }
    const std::string_view bytes = file_.view(at_, static_cast<std::size_t>(std::min<uint64_t>(frame.bytes, 128)));
    if (auto info = info_frame(bytes, frame)) {
      close();
      info_ = info;
      info_bytes_ = file_.view(at_, static_cast<std::size_t>(frame.bytes));
    } else {
      if (!stretches_.empty() && stretches_.back().offset + stretches_.back().size == at_) {
        stretches_.back().size += frame.bytes;
      } else {
        stretches_.push_back({at_, frame.bytes, {}});
      }
      ++count_;
      largest_ = std::max(largest_, frame.bytes);
    }
    if (!frame_) {
      frame_ = frame;
    }
    open_ = true;
    at_ += frame.bytes;
    return true;
  }

  /// Tags that lie between joined files.
  bool skip_tag() {
    const std::string_view head = file_.view(at_, 32);
    uint64_t bytes = 0;
    if (head.starts_with("TAG")) {
      bytes = 128;
    } else if (head.starts_with("APETAGEX") && head.size() == 32) {
      bytes = 32 + little_endian(head.substr(12), 4);
    } else if (head.starts_with("ID3")) {
      bytes = id3_length(file_, at_);
    }
    at_ += bytes;
    return bytes > 0;
  }

  /// What is neither a frame nor a tag may only be the end.
  void stop() {
    uint64_t zeros = at_;
    for (std::string_view ahead = file_.view(zeros, 4096); zeros < end_; ahead = file_.view(zeros, 4096)) {
      const auto other = ahead.find_first_not_of('\0');
      zeros += std::min<uint64_t>(other == std::string_view::npos ? ahead.size() : other, end_ - zeros);
      if (other != std::string_view::npos) {
        break;
      }
    }
    const bool begins_frame = end_ - at_ < 4 && file_.view(at_, 1) == "\xff";
    const bool junk = end_ - at_ < 4 && !begins_frame;
    if (zeros == end_ || junk || (satisfied() && !first_frame(file_, at_, end_ - at_))) {
      return;
    }
    fail(where, "the file must be whole; got ", at_ > 0 ? "no MPEG frame where one must follow, " : "", "at byte ", at_,
         " of ", file_.size(), ", after ", seconds(), " s, in ", file_.name());
  }

  double seconds() const {
    return frame_ ? static_cast<double>(total_ + count_) * static_cast<double>(frame_->samples) /
                        static_cast<double>(frame_->rate)
                  : 0;
  }

  /// Makes a link of the frames since the last count.
  void close() {
    if (!open_) {
      return;
    }
    if (info_ && info_->frames && *info_->frames > count_) {
      fail(where, "the file must be whole; got ", count_, " of the ", *info_->frames,
           " MPEG frames that its header promises in ", file_.name());
    }
    if (count_ > 0) {
      Link link;
      if (info_ && info_->count_at > 0) {
        info_bytes_.replace(info_->count_at, 4, big_endian_text(count_, 4));
        link.pieces.push_back({0, 0, info_bytes_});
      } else {
        link.samples = static_cast<int64_t>(count_) * frame_.value_or(FrameHeader()).samples;
      }
      link.pieces.insert(link.pieces.end(), stretches_.begin(), stretches_.end());
      if (link.samples) {
        lengthen(link);
      }
      layout_.links.push_back(std::move(link));
    }
    total_ += count_;
    count_ = 0;
    open_ = false;
    info_.reset();
    stretches_.clear();
  }

  /// libsndfile stops at its estimate of the length, the file's bytes by those of the first frames. The frames are
  /// given again until no estimate is too short; they are never decoded.
  void lengthen(Link& link) const {
    const uint64_t enough = (count_ + 64) * largest_;
    uint64_t bytes = 0;
    for (const Piece& piece : link.pieces) {
      bytes += piece.size;
    }
    const std::vector<Piece> once = link.pieces;
    for (uint64_t total = bytes; total < enough; total += bytes) {
      link.pieces.insert(link.pieces.end(), once.begin(), once.end());
    }
  }

  AudioSource& file_;
  uint64_t at_;
  uint64_t end_;
  std::optional<FrameHeader> frame_;
  std::optional<InfoFrame> info_;
  std::string info_bytes_;
  std::vector<Piece> stretches_;
  uint64_t count_ = 0;
  uint64_t total_ = 0;
  uint64_t largest_ = 0;
  bool open_ = false;
  Layout layout_{{}, true};
};

}  // namespace

Layout mpeg_layout(AudioSource& file, uint64_t start) {
  const auto header = frame_header(file.view(start, 4));
  const auto first = header && header->bit_rate == 0 ? start : first_frame(file, start, garbage_limit);
  if (!first) {
    return {};
  }
  Layout layout = Walk(file, *first).links();
  if (layout.links.empty()) {
    fail(where, "the file must hold sound; got no MPEG frame with any in ", file.name());
  }
  return layout;
}

}  // namespace brain2music::io
