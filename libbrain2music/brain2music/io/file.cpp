#include "brain2music/io/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "brain2music/check.h"

namespace brain2music::io {

MappedFile::MappedFile(const std::filesystem::path& path, std::string_view where) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    fail(where, "the file must be readable; got '", std::strerror(errno), "' for ", path.string());
  }
  struct stat status{};
  const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  size_ = regular ? static_cast<std::size_t>(status.st_size) : 0;
  void* mapping = MAP_FAILED;
  if (size_ > 0) {
    mapping = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, descriptor, 0);
  }
  const int error = errno;
  ::close(descriptor);
  if (!regular) {
    fail(where, "a regular file is expected; got something else: ", path.string());
  }
  if (size_ > 0 && mapping == MAP_FAILED) {
    fail(where, "the file must fit the address space; got '", std::strerror(error), "' for ", path.string());
  }
  data_ = size_ > 0 ? static_cast<char*>(mapping) : nullptr;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) {
    ::munmap(data_, size_);
  }
}

TemporaryName::TemporaryName(std::filesystem::path path) : path_(std::move(path)), temporary_(path_) {
  temporary_ += ".part-" + std::to_string(::getpid());
}

TemporaryName::~TemporaryName() {
  if (!temporary_.empty()) {
    (void)std::remove(temporary_.c_str());
  }
}

void TemporaryName::commit(std::string_view where) {
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    fail(where, "the file must be writable; got '", std::strerror(errno), "' when it was renamed: ", path_.string());
  }
  temporary_.clear();
}

WrittenFile::WrittenFile(std::filesystem::path path, std::string_view where)
    : name_(std::move(path)), where_(where), file_(std::fopen(name_.temporary().c_str(), "wb")) {
  if (file_ == nullptr) {
    refused("opened");
  }
}

WrittenFile::~WrittenFile() {
  if (file_ != nullptr) {
    (void)std::fclose(file_);
  }
}

void WrittenFile::write(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) {
    refused("written");
  }
}

void WrittenFile::commit() {
  if (std::fflush(file_) != 0 || ::fsync(::fileno(file_)) != 0) {
    refused("written");
  }
  name_.commit(where_);
}

void WrittenFile::refused(std::string_view what) const {
  fail(where_, "the file must be writable; got '", std::strerror(errno), "' when it was ", what, ": ",
       name_.temporary().string());
}

}  // namespace brain2music::io
