#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/context_typer.h"
#include "mmra/bank/csv_reader.h"
#include "mmra/bank/manifest_writer.h"
#include "mmra/bank/record.h"

namespace mmra::bank {

// A manifest is a CSV (RFC 4180) or JSON Lines file, one micro-video a row:
// docs/formats/manifest.md. All errors are Error{kInvalidInput} with file, line and column, and
// with expected and actual.

/// One row, checked.
struct ManifestRow {
  std::int64_t line = 0;  ///< where it begins, from 1
  std::string id;         ///< 1 to 511 bytes
  std::string title;      ///< may be empty where there is a video
  /// The row says something about popularity, be it that it is not known (an empty cell, null).
  bool has_popularity_column = false;
  std::optional<double> popularity;
  std::optional<Timestamp> posted_at;
  std::optional<Split> split;
  std::string video_path;  ///< absolute; empty: no video
  Context context;         ///< the further columns; an empty cell or null is a missing key
};

/// False stops the reading.
using ManifestVisitor = std::function<bool(const ManifestRow&)>;

struct ManifestOptions {
  /// Columns that have a type already: the bank's, or those that scan_manifest() found. Others are
  /// typed by their first value, and a later one that does not fit is an error.
  ColumnTypes columns;
  /// A manifest to learn from needs the column `popularity`; one to predict does not.
  bool needs_popularity = false;
};

/// Reads `file`, in constant memory but for 50 bytes or so a row that find duplicate ids. "-" is
/// standard input; relative paths are then relative to the working directory.
void read_manifest(const std::filesystem::path& file, const ManifestVisitor& visit,
                   const ManifestOptions& options = {});

/// The same from any source of bytes. `name` stands for the file in messages.
void read_manifest(ByteSource source, const std::string& name,
                   const std::filesystem::path& video_folder, const ManifestVisitor& visit,
                   const ManifestOptions& options = {});

/// One line of JSON Lines on its own, checked as read_manifest() checks it; `line` is its number in
/// messages.
[[nodiscard]] ManifestRow read_manifest_line(std::string_view text, std::int64_t line,
                                             const std::string& name,
                                             const std::filesystem::path& video_folder,
                                             const ManifestOptions& options);

struct ManifestSummary {
  std::int64_t num_rows = 0;
  std::int64_t num_labelled = 0;
  std::int64_t num_with_video = 0;
  std::int64_t num_with_time = 0;
  std::int64_t num_with_split = 0;
  /// Of every further column with a value: a number where all its values are numbers. For the
  /// second reading: ManifestOptions{summary.context_columns}.
  ColumnTypes context_columns;
};

/// Reads all of `file` and checks everything that read_manifest() checks, so that work begins only
/// on a sound manifest, and types the context columns by all their values (those in `known` keep
/// their type, and a value that does not fit is an error). Needs a file that can be read again.
[[nodiscard]] ManifestSummary scan_manifest(const std::filesystem::path& file,
                                            const ColumnTypes& known = {},
                                            bool needs_popularity = true);

/// scan_manifest() and read_manifest() in one: all rows, with columns typed by all their values.
[[nodiscard]] std::vector<ManifestRow> load_manifest(const std::filesystem::path& file,
                                                     const ColumnTypes& known = {},
                                                     bool needs_popularity = true);

}  // namespace mmra::bank
