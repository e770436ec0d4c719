#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mmra::pipeline {

/// The clips of a folder, found by what their files are called.
class ClipFiles {
 public:
  enum Depth { kFlat, kDeep };
  /// kDeep: what is below the folder too. A folder that is not there has no clips.
  ClipFiles(const std::filesystem::path& folder, Depth depth);

  /// The clip called `id`, or "… [id]" or "…-id", as downloaders write it; else the one called as
  /// the title is, compared by letters and digits alone. Absolute; empty where there is none, or
  /// more than one of a title.
  [[nodiscard]] std::string of_video(std::string_view id, std::string_view title);
  /// The file that a cell names: a path from the folder or an absolute one, or its last part alone.
  /// Absolute; empty where it is not there.
  [[nodiscard]] std::string named(const std::string& cell);
  /// Those that were not asked for, by name.
  [[nodiscard]] std::vector<std::string> unmatched() const;

 private:
  std::string take(std::size_t clip);

  struct Clip {
    std::filesystem::path path;
    bool taken = false;
  };
  std::filesystem::path folder_;
  std::vector<Clip> clips_;
  std::map<std::string, std::size_t> by_path_;
  std::map<std::string, std::size_t> by_file_name_;
  std::map<std::string, std::size_t> by_id_;
  std::multimap<std::u32string, std::size_t> by_title_;
};

}  // namespace mmra::pipeline
