#pragma once

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

/// The name beside `path` under which a file is written until it is whole; without commit() nothing is left of it.
class TemporaryName {
 public:
  explicit TemporaryName(std::filesystem::path path);
  ~TemporaryName();
  TemporaryName(const TemporaryName&) = delete;
  TemporaryName& operator=(const TemporaryName&) = delete;

  const std::filesystem::path& temporary() const { return temporary_; }

  /// Renames the file that now lies there.
  /// @throws std::runtime_error, signed `where`.
  void commit(std::string_view where);

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
};

/// A file that appears under its name only once it is whole and commit() is called.
class WrittenFile {
 public:
  WrittenFile(std::filesystem::path path, std::string_view where);
  ~WrittenFile();
  WrittenFile(const WrittenFile&) = delete;
  WrittenFile& operator=(const WrittenFile&) = delete;

  void write(std::string_view bytes);
  void commit();

 private:
  [[noreturn]] void refused(std::string_view what) const;

  TemporaryName name_;
  std::string where_;
  std::FILE* file_ = nullptr;
};

}  // namespace brain2music::io
