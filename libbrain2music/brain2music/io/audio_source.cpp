#include "brain2music/io/audio_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "brain2music/check.h"

namespace brain2music::io {
namespace {

constexpr auto where = "io.load_audio";
constexpr std::size_t window = 1U << 16U;

uint64_t byte_of(char c) { return static_cast<unsigned char>(c); }

}  // namespace

AudioSource::AudioSource(const std::filesystem::path& path) : name_(path.string()) {
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) {
    fail(where, "the file must be readable; got '", std::strerror(errno), "' for ", name_);
  }
  struct stat status{};
  if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(descriptor_);
    fail(where, "a regular file is expected; got something else: ", name_);
  }
  size_ = static_cast<uint64_t>(status.st_size);
}

AudioSource::~AudioSource() { ::close(descriptor_); }

std::size_t AudioSource::read(uint64_t offset, char* to, std::size_t count) const {
  std::size_t done = 0;
  while (done < count && offset + done < size_) {
    const ssize_t got = ::pread(descriptor_, to + done, count - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      fail(where, "the file must be readable; got '", std::strerror(errno), "' for ", name_);
    }
    if (got == 0) {
      break;
    }
    done += static_cast<std::size_t>(got);
  }
  return done;
}

std::string_view AudioSource::view(uint64_t offset, std::size_t count) {
  if (offset >= size_) {
    return {};
  }
  count = static_cast<std::size_t>(std::min<uint64_t>(count, size_ - offset));
  if (offset < buffered_from_ || offset + count > buffered_from_ + buffer_.size()) {
    buffer_.resize(std::max(count, window));
    buffered_from_ = offset;
    buffer_.resize(read(offset, buffer_.data(), buffer_.size()));
  }
  return std::string_view(buffer_).substr(static_cast<std::size_t>(offset - buffered_from_), count);
}

uint64_t big_endian(std::string_view text, int bytes) {
  uint64_t number = 0;
  for (int i = 0; i < bytes; ++i) {
    number = number << 8U | byte_of(text[i]);
  }
  return number;
}

uint64_t little_endian(std::string_view text, int bytes) {
  uint64_t number = 0;
  for (int i = bytes; i-- > 0;) {
    number = number << 8U | byte_of(text[i]);
  }
  return number;
}

std::string big_endian_text(uint64_t number, int bytes) {
  std::string text = little_endian_text(number, bytes);
  std::ranges::reverse(text);
  return text;
}

std::string little_endian_text(uint64_t number, int bytes) {
  std::string text(static_cast<std::size_t>(bytes), '\0');
  for (char& c : text) {
    c = static_cast<char>(number & 0xFFU);
    number >>= 8U;
  }
  return text;
}

PiecedFile::PiecedFile(const AudioSource& source, std::vector<Piece> pieces)
    : source_(source), pieces_(std::move(pieces)), starts_{0} {
  for (Piece& piece : pieces_) {
    piece.size = piece.bytes.empty() ? piece.size : piece.bytes.size();
    starts_.push_back(starts_.back() + piece.size);
  }
}

SF_VIRTUAL_IO PiecedFile::functions() { return {length, seek, read, write, tell}; }

sf_count_t PiecedFile::length(void* self) {
  return static_cast<sf_count_t>(static_cast<const PiecedFile*>(self)->starts_.back());
}

sf_count_t PiecedFile::seek(sf_count_t offset, int whence, void* self) {
  auto& file = *static_cast<PiecedFile*>(self);
  const sf_count_t here = whence == SEEK_CUR ? tell(self) : length(self);
  const sf_count_t from = whence == SEEK_SET ? 0 : here;
  sf_count_t to = 0;
  if (__builtin_add_overflow(from, offset, &to) || to < 0) {
    return -1;
  }
  file.position_ = static_cast<uint64_t>(to);
  return to;
}

void PiecedFile::rethrow() const {
  if (error_) {
    std::rethrow_exception(error_);
  }
}

sf_count_t PiecedFile::read(void* to, sf_count_t count, void* self) {
  auto& file = *static_cast<PiecedFile*>(self);
  auto* target = static_cast<char*>(to);
  sf_count_t done = 0;
  while (done < count && file.position_ < file.starts_.back()) {
    const auto after = std::ranges::upper_bound(file.starts_, file.position_);
    const auto number = static_cast<std::size_t>(after - file.starts_.begin()) - 1;
    const Piece& piece = file.pieces_[number];
    const uint64_t skipped = file.position_ - file.starts_[number];
    auto part = static_cast<std::size_t>(std::min<uint64_t>(count - done, piece.size - skipped));
    if (piece.bytes.empty()) {
      try {
        part = file.source_.read(piece.offset + skipped, target + done, part);
      } catch (...) {
        file.error_ = std::current_exception();
        part = 0;
      }
      if (part == 0) {  // unreadable, or the file has shrunk
        break;
      }
    } else {
      std::memcpy(target + done, piece.bytes.data() + skipped, part);
    }
    done += static_cast<sf_count_t>(part);
    file.position_ += part;
  }
  return done;
}

sf_count_t PiecedFile::write(const void* /*from*/, sf_count_t /*count*/, void* /*self*/) { return 0; }

sf_count_t PiecedFile::tell(void* self) {
  return static_cast<sf_count_t>(static_cast<const PiecedFile*>(self)->position_);
}

}  // namespace brain2music::io
