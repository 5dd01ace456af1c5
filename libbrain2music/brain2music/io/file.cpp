#include "brain2music/io/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>

#include "brain2music/check.h"

namespace brain2music::io {

MappedFile::MappedFile(const std::filesystem::path& path, std::string_view where) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
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

WrittenFile::WrittenFile(const std::filesystem::path& path, std::string_view where)
    : path_(std::filesystem::is_symlink(path) ? std::filesystem::weakly_canonical(path) : path), where_(where) {
  struct stat status{};
  const bool exists = ::stat(path_.c_str(), &status) == 0;
  if (exists && !S_ISREG(status.st_mode)) {
    fail(where, "only a regular file is replaced; got something else: ", path_.string());
  }
  static std::atomic<unsigned> count = 0;
  std::random_device random;
  int descriptor = -1;
  do {  // O_EXCL: neither another writer of this path nor a link laid there in advance
    temporary_ = path_;
    temporary_ +=
        ".part-" + std::to_string(::getpid()) + "-" + std::to_string(count++) + "-" + std::to_string(random());
    descriptor = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  } while (descriptor < 0 && errno == EEXIST);
  if (descriptor >= 0 && exists) {
    (void)::fchmod(descriptor, status.st_mode & 07777U);
  }
  file_ = descriptor < 0 ? nullptr : ::fdopen(descriptor, "wb");
  if (file_ == nullptr) {
    refused("opened");
  }
}

WrittenFile::~WrittenFile() {
  if (file_ != nullptr) {
    (void)std::fclose(file_);
    (void)std::remove(temporary_.c_str());
  }
}

void WrittenFile::write(std::string_view bytes) {
  if (!bytes.empty() && std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) {
    refused("written");
  }
}

void WrittenFile::commit() {
  if (std::fflush(file_) != 0 || ::fsync(::fileno(file_)) != 0) {
    refused("written");
  }
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    refused("renamed");
  }
  (void)std::fclose(file_);
  file_ = nullptr;
}

void WrittenFile::refused(std::string_view what) const {
  fail(where_, "the file must be writable; got '", std::strerror(errno), "' when it was ", what, ": ", path_.string());
}

}  // namespace brain2music::io
