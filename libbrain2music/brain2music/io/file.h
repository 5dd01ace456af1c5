#pragma once

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>

namespace brain2music::io {

/// A whole file in memory, pages read on touch; writing to them leaves the file as it is.
class MappedFile {
 public:
  /// @throws std::runtime_error, signed `where`, when the file cannot be opened.
  MappedFile(const std::filesystem::path& path, std::string_view where);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  char* data() const { return data_; }
  std::string_view bytes() const { return {data_, size_}; }

 private:
  char* data_ = nullptr;
  std::size_t size_ = 0;
};

/// A file that appears under its name only once it is whole: written beside it, under a name of its own, and renamed by
/// commit(); without one, nothing is left. A file that is replaced keeps its mode; a link to it stays a link.
class WrittenFile {
 public:
  /// @throws std::runtime_error, signed `where`, here and below, when the system refuses or something other than a
  ///         file stands there already.
  WrittenFile(const std::filesystem::path& path, std::string_view where);
  ~WrittenFile();
  WrittenFile(const WrittenFile&) = delete;
  WrittenFile& operator=(const WrittenFile&) = delete;

  void write(std::string_view bytes);

  /// For libraries that write by themselves; not closed by them.
  int descriptor() const { return ::fileno(file_); }

  void commit();

 private:
  [[noreturn]] void refused(std::string_view what) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  std::string where_;
  std::FILE* file_ = nullptr;
};

}  // namespace brain2music::io
