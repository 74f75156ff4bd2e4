#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "../common.cuh"
#include "api.h"
#include "parallel.h"

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

// Reads R ranges, each of one file, to addresses of the caller's, with up to n_threads threads.
//
// file, offset, n_bytes : (R,)
// to                    : (R,) addresses
// failure               : (4,) the first read that failed, or -1; its bwl::Status and two details:
//                         errno and bytes read, or the range's end and the file's
//
// Reads behind one that failed may not have been made.
BWL_API void bwl_files_read(void* files, int64_t n_reads, const int64_t* file,
                            const int64_t* offset, const int64_t* n_bytes, uint8_t* const* to,
                            int32_t n_threads, int64_t* failure) {
  auto* table = static_cast<bwl::FileTable*>(files);
  std::mutex failing;
  std::atomic<int64_t> first_failed{n_reads};
  bwl::parallel_for(n_reads, n_threads, [&](int64_t i, int) {
    if (i > first_failed.load(std::memory_order_relaxed)) return;
    bwl::Status status = bwl::kOk;
    int64_t details[2] = {0, 0};
    if (offset[i] < 0 || n_bytes[i] < 0 || n_bytes[i] > table->size(file[i]) - offset[i]) {
      status = bwl::kPastEnd;
      const auto end = static_cast<uint64_t>(offset[i]) + static_cast<uint64_t>(n_bytes[i]);
      details[0] = static_cast<int64_t>(end);
      details[1] = table->size(file[i]);
    } else {
      details[0] = table->read(file[i], offset[i], n_bytes[i], to[i], &details[1]);
      if (details[0] != 0) status = bwl::kReadFailed;
    }
    if (status == bwl::kOk) return;
    std::lock_guard<std::mutex> lock(failing);
    if (i >= first_failed.load(std::memory_order_relaxed)) return;
    first_failed.store(i, std::memory_order_relaxed);
    failure[1] = status;
    std::copy(details, details + 2, failure + 2);
  });
  failure[0] = first_failed == n_reads ? -1 : first_failed.load();
}

BWL_API void bwl_files_close(void* files) { delete static_cast<bwl::FileTable*>(files); }
