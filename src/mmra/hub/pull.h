#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "mmra/core/progress.h"
#include "mmra/hub/hub_client.h"
#include "mmra/hub/part_settings.h"

namespace mmra::hub {

/// What to get: a set of the catalogue, or one repository as one part of a set.
struct PullRequest {
  std::string name = {};  ///< a set, or "owner/name", "owner/name@revision"
  std::optional<Role> role =
      std::nullopt;       ///< of a repository; may be left out where the catalogue knows it
  std::string into = {};  ///< the set; empty: the set itself, or the repository's own name
  std::optional<Pooling> pooling = std::nullopt;     ///< over what catalogue and repository say
  std::optional<std::string> prompt = std::nullopt;  ///< likewise
  std::optional<int> max_tokens = std::nullopt;      ///< likewise
  bool update = false;  ///< ask the hub for a newer revision of what is there, or replace it
};

struct PulledPart {
  Role role = Role::kRetrieval;
  std::filesystem::path directory;
  PartManifest manifest;
  std::int64_t bytes = 0;             ///< of all files
  std::int64_t downloaded_bytes = 0;  ///< that came over the network this time
  bool was_there = false;             ///< nothing had to be done
};

struct PullResult {
  std::string set;
  std::filesystem::path directory;
  std::vector<PulledPart> parts;
};

/// Gets it into `models` (docs/models.md). Resumes what an earlier call has begun; does nothing,
/// and asks no network, for parts that are whole. Where a repository has its weights as pickles
/// alone and no revision was asked for, the hub's own safetensors conversion is taken, and noted.
/// All parts that can be had are got before the first error is thrown: Error as HubClient throws
/// it; {kInvalidInput} for wrong names or a folder that holds another model; {kUnsupported} for a
/// repository that is none of ours; {kIo} for a full disk or a pull that is under way elsewhere.
/// Interrupted when a stop is asked for; what has come is kept.
PullResult pull(const PullRequest& request, const std::filesystem::path& models,
                const HubOptions& options, ProgressSink& progress, const std::stop_token& stop);

}  // namespace mmra::hub
