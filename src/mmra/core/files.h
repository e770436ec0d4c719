#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace mmra {

/// Writes a file so that it is either whole under its name or not there: the bytes go to a
/// temporary name beside it, are synced to disk, and commit() renames. Without commit() the
/// temporary file is removed. Every member throws Error{kIo}. Not thread-safe.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(const void* data, std::size_t size_bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Syncs, renames over `path`, and syncs the directory.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

/// AtomicFile in one call.
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

/// The whole file as bytes. Throws Error{kNotFound|kIo}; a directory is kInvalidInput.
[[nodiscard]] std::string read_file(const std::filesystem::path& path);

/// Creates `path` and its parents; throws Error{kIo} naming the path.
void make_directories(const std::filesystem::path& path);

/// Copies a directory with all that is in it, each file as write_file_atomically() writes it; files
/// of the same names are replaced. Throws Error{kNotFound|kIo}; what is no file and no directory is
/// left out.
void copy_directory(const std::filesystem::path& from, const std::filesystem::path& to);

/// A read-only memory mapping of a whole file; empty files map to an empty span.
class MappedFile {
 public:
  /// Throws Error{kNotFound|kIo}; a directory is kInvalidInput.
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

  /// Gives the memory of `part` of bytes() back to the system, which reads it from the file again
  /// if somebody asks; nothing changes but what the process is seen to hold.
  void release(std::span<const std::byte> part) const noexcept;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace mmra
