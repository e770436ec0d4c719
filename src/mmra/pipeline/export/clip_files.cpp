#include "mmra/pipeline/export/clip_files.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <system_error>

#include "mmra/text/utf8.h"

namespace mmra::pipeline {
namespace {

namespace fs = std::filesystem;

// A folder tree is walked no further: a home directory was named by mistake.
constexpr std::size_t kMaxFiles = 1'000'000;
constexpr int kMaxDepth = 4;
// A name with fewer letters says too little to be taken for a title.
constexpr std::size_t kMinTitleLetters = 3;

bool is_clip(const fs::path& file) {
  static constexpr std::array<std::string_view, 11> kEndings = {
      ".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".flv", ".ts", ".3gp", ".wmv", ".mpg"};
  std::string ending = file.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return c < 0x80 ? static_cast<char>(std::tolower(c)) : c; });
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

/// Letters and digits alone, in one case: file names cannot have all that titles have.
std::u32string letters_of(std::string_view text) {
  std::u32string letters;
  for (const char32_t c : text::normalize(text)) {
    const bool ascii_other = c < 0x80 && !(c >= U'a' && c <= U'z') && !(c >= U'0' && c <= U'9');
    const bool other_mark = (c >= 0x2000 && c <= 0x206F) || (c >= 0x3000 && c <= 0x303F) ||
                            (c >= 0x80 && c <= 0xBF && c != 0xAA && c != 0xB5 && c != 0xBA);
    if (!ascii_other && !other_mark) letters += c;
  }
  return letters;
}

/// "A title [ID]" → "ID".
std::string id_in_brackets(const std::string& stem) {
  if (stem.empty() || stem.back() != ']') return {};
  const std::size_t open = stem.rfind('[');
  return open == std::string::npos ? std::string() : stem.substr(open + 1, stem.size() - open - 2);
}

std::string title_part(const std::string& stem) {
  const std::string id = id_in_brackets(stem);
  return id.empty() ? stem : stem.substr(0, stem.rfind('['));
}

}  // namespace

ClipFiles::ClipFiles(const fs::path& folder, Depth depth) : folder_(folder) {
  std::error_code code;
  fs::recursive_directory_iterator entry(folder, fs::directory_options::skip_permission_denied,
                                         code);
  std::vector<fs::path> found;
  for (std::size_t seen = 0;
       !code && entry != fs::recursive_directory_iterator() && seen < kMaxFiles;
       entry.increment(code), ++seen) {
    if (depth == kFlat || entry.depth() >= kMaxDepth) entry.disable_recursion_pending();
    std::error_code ignored;
    if (is_clip(entry->path()) && entry->is_regular_file(ignored)) found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end());
  for (const fs::path& path : found) {
    const std::string stem = path.stem().string();
    const std::size_t clip = clips_.size();
    by_file_name_.emplace(path.filename().string(), clip);
    by_id_.emplace(stem, clip);
    if (const std::string id = id_in_brackets(stem); !id.empty()) by_id_.emplace(id, clip);
    by_title_.emplace(letters_of(title_part(stem)), clip);
    clips_.push_back({fs::absolute(path).lexically_normal(), false});
    by_path_.emplace(clips_.back().path.string(), clip);
  }
}

std::string ClipFiles::take(std::size_t clip) {
  clips_[clip].taken = true;
  return clips_[clip].path.string();
}

std::string ClipFiles::of_video(std::string_view id, std::string_view title) {
  if (const auto found = by_id_.find(std::string(id)); found != by_id_.end()) {
    return take(found->second);
  }
  const std::u32string letters = letters_of(title);
  if (letters.size() < kMinTitleLetters) return {};
  const auto [first, last] = by_title_.equal_range(letters);
  return std::distance(first, last) == 1 ? take(first->second) : std::string();
}

std::string ClipFiles::named(const std::string& cell) {
  const fs::path path = fs::absolute(folder_ / cell).lexically_normal();
  if (const auto found = by_path_.find(path.string()); found != by_path_.end()) {
    return take(found->second);
  }
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) return path.string();  // elsewhere, or another ending
  const auto found = by_file_name_.find(fs::path(cell).filename().string());
  return found == by_file_name_.end() ? std::string() : take(found->second);
}

std::vector<std::string> ClipFiles::unmatched() const {
  std::vector<std::string> names;
  for (const Clip& clip : clips_) {
    if (!clip.taken) names.push_back(clip.path.filename().string());
  }
  return names;
}

}  // namespace mmra::pipeline
