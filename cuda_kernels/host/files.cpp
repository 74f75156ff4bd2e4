#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"

namespace bwl {

FileTable::FileTable(const char* const* paths, const int64_t* sizes, int64_t n, int64_t max_open)
    : entries_(static_cast<size_t>(n)), max_open_(max_open < 1 ? 1 : max_open) {
  for (int64_t i = 0; i < n; ++i) {
    entries_[static_cast<size_t>(i)].path = paths[i];
    entries_[static_cast<size_t>(i)].size = sizes[i];
  }
}

FileTable::~FileTable() {
  for (auto& entry : entries_) {
    if (entry.fd >= 0) ::close(entry.fd);
  }
}

void FileTable::close_oldest() {
  Entry* oldest = nullptr;
  for (auto& entry : entries_) {
    if (entry.fd < 0 || entry.users > 0) continue;
    if (oldest == nullptr || entry.last_used < oldest->last_used) oldest = &entry;
  }
  if (oldest == nullptr) return;  // all in use: one over the limit for a moment
  ::close(oldest->fd);
  oldest->fd = -1;
  --n_open_;
}

int FileTable::acquire(int64_t file, int* fd) {
  std::lock_guard<std::mutex> lock(mutex_);
  Entry& entry = entries_[static_cast<size_t>(file)];
  if (entry.fd < 0) {
    if (n_open_ >= max_open_) close_oldest();
    int opened = ::open(entry.path.c_str(), O_RDONLY | O_CLOEXEC);
    if (opened < 0) return errno;
    struct stat status;
    if (::fstat(opened, &status) != 0 || status.st_size != entry.size) {
      ::close(opened);
      return ESTALE;
    }
    entry.fd = opened;
    ++n_open_;
  }
  ++entry.users;
  entry.last_used = ++clock_;
  *fd = entry.fd;
  return 0;
}

void FileTable::release(int64_t file) {
  std::lock_guard<std::mutex> lock(mutex_);
  --entries_[static_cast<size_t>(file)].users;
}

int FileTable::read(int64_t file, int64_t offset, int64_t n_bytes, uint8_t* out, int64_t* got) {
  *got = 0;
  int fd;
  int error = acquire(file, &fd);
  if (error != 0) return error;
  while (*got < n_bytes) {
    ssize_t n = ::pread(fd, out + *got, static_cast<size_t>(n_bytes - *got), offset + *got);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      error = n < 0 ? errno : EIO;
      break;
    }
    *got += n;
  }
  release(file);
  return error;
}

}  // namespace bwl

BWL_API void* bwl_files_open(const char* const* paths, const int64_t* sizes, int64_t n,
                             int64_t max_open) {
  return new bwl::FileTable(paths, sizes, n, max_open);
}

BWL_API void bwl_files_close(void* files) { delete static_cast<bwl::FileTable*>(files); }
