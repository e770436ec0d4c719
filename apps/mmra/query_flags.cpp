#include "query_flags.h"

#include "mmra/core/error.h"
#include "mmra/core/timestamp.h"

namespace mmra::app {

void add_query_flags(CLI::App& command, QueryFlags& flags, const std::string& title_flag) {
  add_clip_flags(command, flags);
  command.add_option(title_flag, flags.title, "The title of a clip")->excludes("--id");
}

void add_clip_flags(CLI::App& command, QueryFlags& flags) {
  auto* id =
      command.add_option("--id", flags.id, "A record of the bank (it is never its own instance)");
  command.add_option("--video", flags.video, "The clip itself, any format FFmpeg reads")
      ->excludes(id);
  command.add_option("--as-of", flags.as_of,
                     "See only records posted before this time (RFC 3339, or seconds since 1970)");
}

pipeline::Query to_query(const QueryFlags& flags) {
  pipeline::Query query;
  if (!flags.id.empty()) query.id = flags.id;
  query.title = flags.title;
  query.video = flags.video;
  if (!flags.as_of.empty()) query.as_of = to_time("--as-of", flags.as_of);
  return query;
}

Timestamp to_time(const std::string& flag, const std::string& text) {
  if (const auto time = parse_timestamp(text)) return *time;
  throw Error(ErrorKind::kInvalidInput,
              flag + " " + text +
                  " is no time; write it like 2024-07-14T09:30:00Z or as seconds since 1970");
}

}  // namespace mmra::app
