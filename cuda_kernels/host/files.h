// The files of a collection: opened when first read, closed when too many are open.
#pragma once
#include <stdint.h>

#include <mutex>
#include <string>
#include <vector>

namespace bwl {

class FileTable {
 public:
  FileTable(const char* const* paths, const int64_t* sizes, int64_t n, int64_t max_open);
  ~FileTable();
  FileTable(const FileTable&) = delete;
  FileTable& operator=(const FileTable&) = delete;

  // Reads n_bytes at offset. Returns 0, or an errno; *got tells how many bytes were read.
  // A file that is no longer the size it had when its index was read gives ESTALE.
  int read(int64_t file, int64_t offset, int64_t n_bytes, uint8_t* out, int64_t* got);

  // Bytes that the file has to have.
  int64_t size(int64_t file) const { return entries_[static_cast<size_t>(file)].size; }

 private:
  struct Entry {
    std::string path;
    int64_t size;
    int fd = -1;
    int users = 0;
    uint64_t last_used = 0;
  };

  int acquire(int64_t file, int* fd);
  void release(int64_t file);
  void close_oldest();

  std::mutex mutex_;
  std::vector<Entry> entries_;
  int64_t max_open_;
  int64_t n_open_ = 0;
  uint64_t clock_ = 0;
};

}  // namespace bwl
