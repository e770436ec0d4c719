#include "mmra/pipeline/import_microlens.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/manifest.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/timestamp.h"

namespace mmra::pipeline {
namespace {

namespace fs = std::filesystem;

using Id = std::int64_t;

std::optional<Id> parse_id(std::string_view text) {
  Id id = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return id;
}

/// The files of `directory` whose name holds all of `parts`, in order of their names.
std::vector<fs::path> files_with(const fs::path& directory, const std::vector<std::string>& parts) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string name = entry.path().filename().string();
    const bool all = std::all_of(parts.begin(), parts.end(), [&](const std::string& part) {
      return name.find(part) != std::string::npos;
    });
    if (all && entry.is_regular_file()) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// Among so many titles of which none has a comma, they were cut at it.
constexpr std::size_t kManyTitles = 200;

/// A title that was not quoted is cut into fields by its commas.
std::string join_title(const std::vector<std::string>& fields) {
  std::string title = fields[1];
  for (std::size_t i = 2; i < fields.size(); ++i) title += "," + fields[i];
  return title;
}

std::map<Id, std::string> read_titles(const fs::path& file) {
  std::map<Id, std::string> titles;
  bool more_columns = false;  // a header says so: then further fields are not the title's
  bank::read_csv(file, [&](const bank::CsvRow& row) {
    if (row.fields.size() < 2) {
      throw Error(ErrorKind::kInvalidInput, file.string() + ", line " + std::to_string(row.line) +
                                                ": found " + std::to_string(row.fields.size()) +
                                                " fields, expected 2 (id,title)");
    }
    const auto id = parse_id(row.fields[0]);
    if (!id) {
      if (row.line == 1) {  // a header
        more_columns = row.fields.size() > 2;
        return;
      }
      throw Error(ErrorKind::kInvalidInput, file.string() + ", line " + std::to_string(row.line) +
                                                ": \"" + row.fields[0] + "\" is no item number");
    }
    titles[*id] = more_columns ? row.fields[1] : join_title(row.fields);
  });
  return titles;
}

bool look_cut(const std::map<Id, std::string>& titles) {
  return titles.size() >= kManyTitles &&
         std::none_of(titles.begin(), titles.end(), [](const auto& title) {
           return title.second.find(',') != std::string::npos;
         });
}

/// The release's titles, with those of `other` (may be empty: no such file) in their place.
std::map<Id, std::string> choose_titles(const fs::path& directory, const fs::path& other,
                                        MicrolensImport& report) {
  const std::vector<fs::path> own = files_with(directory, {"title", ".csv"});
  if (own.empty() && other.empty()) {
    throw Error(ErrorKind::kNotFound,
                directory.string() +
                    " holds no title file (*title*.csv with the columns id,title); "
                    "name one with --titles");
  }
  if (own.empty()) return read_titles(other);
  std::map<Id, std::string> titles = read_titles(own.front());
  report.titles_are_cut = look_cut(titles);
  if (other.empty()) return titles;
  for (const auto& [id, title] : read_titles(other)) {
    const auto at = titles.find(id);
    if (at == titles.end() || at->second == title) continue;
    at->second = title;
    ++report.num_replaced_titles;
  }
  return titles;
}

/// Interactions counted by item: the `item_field`-th field (from 0) of each line.
std::map<Id, std::int64_t> count_items(const fs::path& file, char separator, int item_field) {
  std::ifstream stream(file);
  if (!stream) throw Error(ErrorKind::kIo, "cannot read " + file.string());
  std::map<Id, std::int64_t> counts;
  std::string line;
  while (std::getline(stream, line)) {
    std::string_view rest = line;
    bool short_line = false;
    for (int field = 0; field < item_field && !short_line; ++field) {
      const std::size_t at = rest.find(separator);
      short_line = at == std::string_view::npos;
      if (!short_line) rest.remove_prefix(at + 1);
    }
    // A comment may hold line breaks: what does not begin with two numbers goes on from before.
    if (short_line) continue;
    rest = rest.substr(0, rest.find_first_of(std::string{separator, '\r'}));
    if (const auto id = parse_id(rest)) ++counts[*id];
  }
  if (counts.empty()) {  // every popularity would be 0, and nobody would know why
    throw Error(ErrorKind::kInvalidInput,
                file.string() + " names no item: lines of user, item, … separated by " +
                    (separator == '\t' ? "tabs" : "commas") + " are needed");
  }
  return counts;
}

std::map<Id, std::int64_t> read_popularity(const fs::path& directory) {
  if (const auto comments = files_with(directory, {"comment", ".txt"}); !comments.empty()) {
    return count_items(comments.front(), '\t', 1);  // user, item, comment
  }
  if (const auto pairs = files_with(directory, {"_pairs.csv"}); !pairs.empty()) {
    return count_items(pairs.front(), ',', 1);  // user, item, timestamp: one comment each
  }
  throw Error(ErrorKind::kNotFound,
              directory.string() +
                  " holds neither *comment*.txt (user, item, comment) nor *_pairs.csv (user, item, "
                  "timestamp): the numbers of comments are needed");
}

/// The earliest time of each item in *_pairs.csv, if there: the first comment is the nearest to its
/// posting that the release says.
std::map<Id, Timestamp> read_times(const fs::path& directory) {
  // What is above this is in milliseconds: as seconds it would be after the year 5000.
  constexpr std::int64_t kMilliseconds = 100'000'000'000;
  std::map<Id, Timestamp> times;
  const auto pairs = files_with(directory, {"_pairs.csv"});
  if (pairs.empty()) return times;
  bank::read_csv(pairs.front(), [&](const bank::CsvRow& row) {
    if (row.fields.size() < 3) return;
    const auto item = parse_id(row.fields[1]);
    const auto value = parse_id(row.fields[2]);
    if (!item || !value || *value <= 0) return;  // a header; 0 stands for unknown
    const Timestamp time{*value >= kMilliseconds ? *value : *value * 1000};
    const auto [at, is_new] = times.emplace(*item, time);
    if (!is_new && time < at->second) at->second = time;
  });
  return times;
}

std::map<Id, fs::path> find_videos(const fs::path& directory) {
  std::map<Id, fs::path> videos;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (!entry.is_directory() ||
        entry.path().filename().string().find("video") == std::string::npos) {
      continue;
    }
    for (const auto& file : fs::recursive_directory_iterator(entry.path())) {
      if (file.path().extension() != ".mp4") continue;
      if (const auto id = parse_id(file.path().stem().string())) videos[*id] = file.path();
    }
  }
  return videos;
}

/// numpy's RandomState(seed).permutation(n): Fisher–Yates from the end with masked rejection over
/// the Mersenne Twister, on which scikit-learn's train_test_split is built.
std::vector<std::size_t> numpy_permutation(std::uint32_t seed, std::size_t n) {
  std::mt19937 random(seed);
  std::vector<std::size_t> order(n);
  for (std::size_t i = 0; i < n; ++i) order[i] = i;
  for (std::size_t i = n; i-- > 1;) {
    std::size_t mask = i;
    for (int shift = 1; shift <= 16; shift *= 2) mask |= mask >> shift;
    std::size_t j = random() & mask;
    while (j > i) j = random() & mask;
    std::swap(order[i], order[j]);
  }
  return order;
}

struct TrainTest {
  std::vector<std::size_t> train;
  std::vector<std::size_t> test;
};

/// scikit-learn's train_test_split: the test part is the first ⌈share·n⌉ of the permutation.
TrainTest train_test_split(const std::vector<std::size_t>& items, double test_share,
                           std::uint32_t seed) {
  const std::vector<std::size_t> order = numpy_permutation(seed, items.size());
  const auto num_test =
      static_cast<std::size_t>(std::ceil(test_share * static_cast<double>(items.size())));
  TrainTest parts;
  for (std::size_t i = 0; i < order.size(); ++i) {
    (i < num_test ? parts.test : parts.train).push_back(items[order[i]]);
  }
  return parts;
}

}  // namespace

std::vector<bank::Split> microlens_split(std::size_t num_rows) {
  std::vector<std::size_t> all(num_rows);
  for (std::size_t i = 0; i < num_rows; ++i) all[i] = i;
  const TrainTest first = train_test_split(all, 0.2, 9);
  const TrainTest second = train_test_split(first.test, 0.5, 18);
  std::vector<bank::Split> splits(num_rows, bank::Split::kTrain);
  // In the authors' script the larger-indexed half is named first: test, valid = split(others).
  for (const std::size_t i : second.train) splits[i] = bank::Split::kTest;
  for (const std::size_t i : second.test) splits[i] = bank::Split::kValid;
  return splits;
}

MicrolensImport import_microlens(const fs::path& directory, const fs::path& titles,
                                 const fs::path& out_manifest) {
  if (!fs::is_directory(directory)) {
    throw Error(ErrorKind::kNotFound, directory.string() +
                                          " is not a directory; name the folder of a downloaded "
                                          "MicroLens release");
  }
  MicrolensImport report;
  const auto title_of = choose_titles(directory, titles, report);
  const auto popularity_of = read_popularity(directory);
  const auto time_of = read_times(directory);
  const auto video_of = find_videos(directory);
  if (title_of.empty()) {
    throw Error(ErrorKind::kInvalidInput, "the title file holds no row (id,title)");
  }

  const std::vector<bank::Split> splits = microlens_split(title_of.size());
  bank::ManifestWriter writer(out_manifest,
                              {"id", "title", "popularity", "split", "video", "posted_at"});
  std::size_t index = 0;
  for (const auto& [id, title] : title_of) {
    const auto popularity = popularity_of.find(id);
    const auto video = video_of.find(id);
    const auto time = time_of.find(id);
    const bank::Split split = splits[index++];
    if (title.empty() && video == video_of.end()) {
      ++report.num_without_title;
      continue;  // neither a title nor a video: nothing to predict from
    }
    ++report.num_rows;
    report.num_with_video += video != video_of.end();
    report.num_with_time += time != time_of.end();
    writer.add_row({std::to_string(id), title,
                    popularity == popularity_of.end() ? "0" : std::to_string(popularity->second),
                    std::string(bank::name_of(split)),
                    video == video_of.end() ? "" : fs::absolute(video->second).string(),
                    time == time_of.end() ? "" : format_timestamp(time->second)});
  }
  writer.commit();
  return report;
}

}  // namespace mmra::pipeline
