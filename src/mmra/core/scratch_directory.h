#pragma once

#include <filesystem>
#include <string>

namespace mmra {

/// An empty directory among the temporary files (TMPDIR), gone with all that is in it when this is.
class ScratchDirectory {
 public:
  /// `purpose` becomes part of its name. Throws Error{kIo}.
  explicit ScratchDirectory(const std::string& purpose);
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;
  ~ScratchDirectory();

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace mmra
