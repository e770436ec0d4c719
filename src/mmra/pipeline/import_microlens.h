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
};

/// The authors' split of `num_rows` items in the order of their ids (shared by all who follow their
/// code): scikit-learn's train_test_split(test_size=0.2, random_state=9), then the 20 % in halves
/// with random_state=18.
[[nodiscard]] std::vector<bank::Split> microlens_split(std::size_t num_rows);

/// The files of a MicroLens release in `directory` → a manifest. Needs a title file
/// (`MicroLens-*_title*.csv`: "item,title" or "id,title", header optional) and comment counts (a
/// `*comment*.txt|.tsv|.csv` with one line per item "item<TAB>comment text" or "user,item,time"
/// pairs
/// `*pairs.csv` | `*likes_and_views.txt`: item, likes, views). Videos are looked up as
/// `*videos*/ID.mp4`. `titles` replaces the title file. The split is the authors': scikit-learn's
/// train_test_split with seeds 9 and 18 over the ids in order.
MicrolensImport import_microlens(const std::filesystem::path& directory,
                                 const std::filesystem::path& titles,
                                 const std::filesystem::path& out_manifest);

}  // namespace mmra::pipeline
