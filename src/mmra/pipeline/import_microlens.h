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

/// The files of a MicroLens release in `directory` → a manifest, whole or not at all. Needs a title
/// file (*title*.csv: id,title, header optional; `titles` replaces it) and the comments
/// (*comment*.txt: user, item, comment, separated by tabs; or *_pairs.csv: user, item, timestamp),
/// which are counted by item. Videos are *video*/…/ID.mp4. The split is microlens_split() over the
/// ids in order. Throws Error{kNotFound} naming what is missing, {kInvalidInput} with file and
/// line.
MicrolensImport import_microlens(const std::filesystem::path& directory,
                                 const std::filesystem::path& titles,
                                 const std::filesystem::path& out_manifest);

}  // namespace mmra::pipeline
