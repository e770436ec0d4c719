#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/pipeline/export/date.h"

namespace mmra::pipeline {

/// Where a field of the manifest is in an export.
struct ExportColumn {
  std::vector<std::string> names;  ///< the first that the file has is taken
  bool required = true;
};

/// By the fields that a manifest knows: id, title, popularity, posted_at, split, video.
using ExportColumns = std::map<std::string, ExportColumn>;

struct CsvImportRequest {
  std::filesystem::path file;
  std::filesystem::path out;                   ///< the manifest
  ExportColumns columns;                       ///< title or video, and popularity, are needed
  std::map<std::string, std::string> context;  ///< name in the manifest → column
  /// Where clips lie; nothing: beside the file.
  std::optional<std::filesystem::path> clips;
  std::optional<char> delimiter;  ///< nothing: found
  std::string encoding;           ///< empty: found
  std::optional<char> decimal;    ///< nothing: by what the column's numbers say
  DateOptions dates;
  /// Rows that the hash of their id would make test rows are validation rows: of a few hundred, ten
  /// to test by say nothing, and ten to calibrate by are too few.
  bool no_test = false;
};

struct CsvImport {
  std::int64_t num_rows = 0;  ///< of the manifest
  std::int64_t num_labelled = 0;
  std::int64_t num_with_video = 0;
  std::int64_t num_with_time = 0;
  std::int64_t num_totals = 0;             ///< rows that add up others: left out
  std::int64_t num_nameless = 0;           ///< neither title nor clip: left out
  std::int64_t num_made_ids = 0;           ///< from a title, where there is neither id nor address
  std::int64_t num_without_zone = 0;       ///< times that do not say where they are
  std::vector<std::string> missing_clips;  ///< named by a row, but not there
  std::vector<std::string> unmatched_clips;  ///< there, but of no row
  std::string encoding;
  char delimiter = ',';
};

/// The columns of a studio's own export, in English. Empty where there is no such preset.
[[nodiscard]] std::optional<ExportColumns> export_preset(std::string_view name);
/// "youtube-studio, tiktok-studio, …"
[[nodiscard]] std::string names_of_export_presets();

/// "id=Content,title=Video title,…" → columns. A comma belongs to the name before it unless a field
/// and "=" follow. Throws Error{kInvalidInput} naming the part that is not of this form, the field
/// that is not known or given twice.
[[nodiscard]] ExportColumns parse_column_map(std::string_view text);

/// A creator's own export → a manifest, whole or not at all. docs/from-your-own-export.md says what
/// is understood. Throws Error{kInvalidInput} naming file, line and column for a number or date
/// that cannot be read or may be read in two ways, and naming the columns that there are where one
/// is missing.
CsvImport import_csv(const CsvImportRequest& request);

/// The video's id in the address of a clip: "https://youtu.be/ID", ".../shorts/ID", "?v=ID",
/// ".../video/ID", ".../reel/ID"; else the last part of its path. Empty where `text` is no address.
[[nodiscard]] std::string id_of_address(std::string_view text);

}  // namespace mmra::pipeline
