#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "mmra/core/timestamp.h"
#include "mmra/pipeline/query.h"

namespace mmra::app {

/// --id, or a title and --video, and --as-of: what search and predict ask about.
struct QueryFlags {
  std::string id;
  std::string title;
  std::string video;
  std::string as_of;
};

/// `title_flag` is "--title" or "--text".
void add_query_flags(CLI::App& command, QueryFlags& flags, const std::string& title_flag);

/// The same without a title.
void add_clip_flags(CLI::App& command, QueryFlags& flags);

[[nodiscard]] pipeline::Query to_query(const QueryFlags& flags);

/// Throws Error{kInvalidInput} naming the flag where `text` is no time.
[[nodiscard]] Timestamp to_time(const std::string& flag, const std::string& text);

}  // namespace mmra::app
