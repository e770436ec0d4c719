#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace mmra::hub {

/// NAME.part, the beginning of a file that is being got, with NAME.part.etag, the server's name for
/// the version that it is of. Every member throws Error{kIo} naming the file. Not thread-safe.
class PartFile {
 public:
  /// Opens or creates it; `path` is the name of the whole file.
  explicit PartFile(const std::filesystem::path& path);
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  ~PartFile();

  [[nodiscard]] const std::filesystem::path& path() const { return part_; }
  [[nodiscard]] std::int64_t bytes() const { return bytes_; }
  /// Empty where the server gave none, or none that resuming may rely on.
  [[nodiscard]] const std::string& etag() const { return etag_; }

  void append(std::string_view piece);
  /// Forgets all bytes and begins anew as version `etag`.
  void restart(const std::string& etag);
  /// Syncs it and renames it to the whole file's name.
  void commit();
  void remove();

 private:
  void close();

  std::filesystem::path whole_;
  std::filesystem::path part_;
  std::filesystem::path etag_path_;
  int descriptor_ = -1;
  std::int64_t bytes_ = 0;
  std::string etag_;
};

}  // namespace mmra::hub
