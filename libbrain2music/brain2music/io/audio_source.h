#pragma once

#include <sndfile.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace brain2music::io {

/// An audio file read by offset. It is not mapped: a mapped file that shrinks while it is read ends the process.
class AudioSource {
 public:
  /// @throws std::runtime_error naming the file when it cannot be opened, or is no regular file.
  explicit AudioSource(const std::filesystem::path& path);
  ~AudioSource();
  AudioSource(const AudioSource&) = delete;
  AudioSource& operator=(const AudioSource&) = delete;

  uint64_t size() const { return size_; }
  const std::string& name() const { return name_; }

  /// Copies up to `count` bytes; fewer at the end of the file.
  std::size_t read(uint64_t offset, char* to, std::size_t count) const;

  /// Up to `count` bytes from `offset`, fewer at the end of the file; valid until the next call.
  std::string_view view(uint64_t offset, std::size_t count);

 private:
  std::string name_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  std::string buffer_;
  uint64_t buffered_from_ = 0;
};

/// Big-endian number in the first `bytes` bytes of `text`, which must be there.
uint64_t big_endian(std::string_view text, int bytes);
/// Little-endian number in the first `bytes` bytes of `text`, which must be there.
uint64_t little_endian(std::string_view text, int bytes);
std::string big_endian_text(uint64_t number, int bytes);
std::string little_endian_text(uint64_t number, int bytes);

/// Part of what a decoder reads: `size` bytes of the file from `offset`; or, where `bytes` is not empty, these bytes.
struct Piece {
  uint64_t offset = 0;
  uint64_t size = 0;
  std::string bytes;
};

/// Pieces that libsndfile reads as one file through its virtual IO.
class PiecedFile {
 public:
  PiecedFile(const AudioSource& source, std::vector<Piece> pieces);

  /// The functions that sf_open_virtual takes beside `this`.
  static SF_VIRTUAL_IO functions();

  /// Throws what reading the file threw: no exception may pass through libsndfile's C.
  void rethrow() const;

 private:
  static sf_count_t length(void* self);
  static sf_count_t seek(sf_count_t offset, int whence, void* self);
  static sf_count_t read(void* to, sf_count_t count, void* self);
  static sf_count_t write(const void* from, sf_count_t count, void* self);
  static sf_count_t tell(void* self);

  const AudioSource& source_;
  std::vector<Piece> pieces_;
  std::vector<uint64_t> starts_;  // of each piece, then the length of all
  uint64_t position_ = 0;
  std::exception_ptr error_;
};

}  // namespace brain2music::io
