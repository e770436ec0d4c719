#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "mmra/bank/record.h"

namespace mmra::pipeline {

struct MicrolensImport {
  std::int64_t num_rows = 0;
  std::int64_t num_without_title = 0;
  std::int64_t num_with_video = 0;
  std::int64_t num_with_time = 0;
  std::int64_t num_replaced_titles = 0;  ///< by another title file, where they differ
  /// The release's titles look cut at their first comma: among so many, some would have one. The
  /// file in circulation is; see how many were replaced.
  bool titles_are_cut = false;
};

/// The authors' split of `num_rows` items in the order of their ids (shared by all who follow their
/// code): scikit-learn's train_test_split(test_size=0.2, random_state=9), then the 20 % in halves
/// with random_state=18.
[[nodiscard]] std::vector<bank::Split> microlens_split(std::size_t num_rows);

/// The files of a MicroLens release in `directory` → a manifest, whole or not at all:
///   *title*.csv             id,title; header optional; unquoted commas belong to the title
///   *comment*.txt           user, item, comment, separated by tabs: counted by item; or
///   *_pairs.csv             user,item,timestamp: counted where there are no comments; the earliest
///                           time of an item (seconds or milliseconds) is its posted_at
///   *video*/…/ID.mp4        if there
/// `titles` (id,title) replaces the titles of the ids that it has, or stands for the title file
/// where the release has none. The split is microlens_split() over the ids in order. Throws
/// Error{kNotFound} naming what is missing, {kInvalidInput} with file and line.
MicrolensImport import_microlens(const std::filesystem::path& directory,
                                 const std::filesystem::path& titles,
                                 const std::filesystem::path& out_manifest);

}  // namespace mmra::pipeline
