#include <algorithm>
#include <cmath>
#include <cstdio>

#include "command.h"
#include "console.h"
#include "interrupt.h"
#include "mmra/core/error.h"
#include "mmra/hub/catalogue.h"
#include "mmra/hub/model_cache.h"
#include "mmra/hub/pull.h"

namespace mmra::app {
namespace {

constexpr double kMegabyte = 1e6;

struct PullFlags {
  std::string name;
  std::string role;
  std::string into;
  std::string pooling;
  std::string prompt;
  int max_tokens = 0;
  bool update = false;
  int retries = 0;
  double retry_wait_s = 0.0;
};

std::string readable_megabytes(std::int64_t megabytes) {
  return megabytes < 1000 ? std::to_string(megabytes) + " MB"
                          : fixed(static_cast<double>(megabytes) / 1000.0, 1) + " GB";
}

std::string readable_bytes(std::int64_t bytes) {
  return readable_megabytes(std::llround(std::ceil(static_cast<double>(bytes) / kMegabyte)));
}

/// "all", "captioner, visual", "begun" or "no".
std::string describe_cached(const hub::CatalogueSet* wanted, const hub::CachedSet* cached) {
  if (cached == nullptr) return "no";
  std::string names;
  std::size_t num_there = 0;
  for (const hub::CachedPart& part : cached->parts) {
    if (part.is_begun) continue;
    names += (names.empty() ? "" : ", ") + hub::name_of(part.role);
    ++num_there;
  }
  if (wanted != nullptr && num_there == wanted->parts.size()) return "all";
  if (names.empty()) return "begun";
  return names;
}

const hub::CachedSet* find_cached(const std::vector<hub::CachedSet>& sets,
                                  const std::string& name) {
  const auto found =
      std::find_if(sets.begin(), sets.end(), [&](const auto& set) { return set.name == name; });
  return found == sets.end() ? nullptr : &*found;
}

const hub::CachedPart* find_cached_part(const hub::CachedSet* set, hub::Role role) {
  if (set == nullptr) return nullptr;
  const auto found = std::find_if(set->parts.begin(), set->parts.end(),
                                  [&](const auto& part) { return part.role == role; });
  return found == set->parts.end() ? nullptr : &*found;
}

/// A model in two roles is stored once.
std::int64_t approximate_mb(const hub::CatalogueSet& set) {
  std::int64_t total_mb = 0;
  for (auto part = set.parts.begin(); part != set.parts.end(); ++part) {
    const bool is_counted = std::any_of(set.parts.begin(), part, [&](const auto& earlier) {
      return earlier.repository == part->repository;
    });
    if (!is_counted) total_mb += part->approximate_mb;
  }
  return total_mb;
}

nlohmann::ordered_json cached_json(const hub::CachedPart* part) {
  if (part == nullptr) return nullptr;
  nlohmann::ordered_json document = {{"path", part->directory.string()},
                                     {"whole", !part->is_begun}};
  if (part->is_whole) {
    document["repository"] = part->manifest.repository;
    document["revision"] = part->manifest.revision;
    document["bytes"] = part->bytes;
  }
  return document;
}

nlohmann::ordered_json set_json(const hub::CatalogueSet& set, const hub::CachedSet* cached) {
  nlohmann::ordered_json document = {{"name", set.name}, {"description", set.description}};
  auto parts = nlohmann::ordered_json::array();
  for (const hub::CataloguePart& part : set.parts) {
    parts.push_back({{"role", hub::name_of(part.role)},
                     {"repository", part.repository},
                     {"approximate_mb", part.approximate_mb},
                     {"licence", part.licence},
                     {"languages", part.languages},
                     {"cached", cached_json(find_cached_part(cached, part.role))}});
  }
  document["approximate_mb"] = approximate_mb(set);
  document["parts"] = parts;
  return document;
}

nlohmann::ordered_json other_set_json(const hub::CachedSet& cached) {
  nlohmann::ordered_json document = {{"name", cached.name}, {"path", cached.directory.string()}};
  auto parts = nlohmann::ordered_json::array();
  for (const hub::CachedPart& part : cached.parts) {
    parts.push_back({{"role", hub::name_of(part.role)}, {"cached", cached_json(&part)}});
  }
  document["parts"] = parts;
  return document;
}

int print_list_json(const std::filesystem::path& models,
                    const std::vector<hub::CachedSet>& cached) {
  auto known = nlohmann::ordered_json::array();
  for (const hub::CatalogueSet& set : hub::catalogue()) {
    known.push_back(set_json(set, find_cached(cached, set.name)));
  }
  auto others = nlohmann::ordered_json::array();
  for (const hub::CachedSet& set : cached) {
    if (hub::find_set(set.name) == nullptr) others.push_back(other_set_json(set));
  }
  print_json({{"directory", models.string()}, {"sets", known}, {"others", others}});
  return 0;
}

void print_known_sets(const std::vector<hub::CachedSet>& cached) {
  Table sets({"set", "size", "in the cache", "what"});
  Table parts({"set", "part", "repository", "size", "licence", "languages"});
  for (const hub::CatalogueSet& set : hub::catalogue()) {
    for (const hub::CataloguePart& part : set.parts) {
      parts.add_row({set.name, hub::name_of(part.role), part.repository,
                     readable_megabytes(part.approximate_mb), part.licence, part.languages});
    }
    sets.add_row({set.name, readable_megabytes(approximate_mb(set)),
                  describe_cached(&set, find_cached(cached, set.name)), set.description});
  }
  std::printf("%s\n%s", sets.to_text().c_str(), parts.to_text().c_str());
}

void print_other_sets(const std::vector<hub::CachedSet>& cached) {
  Table others({"set", "part", "repository", "size"});
  bool has_any = false;
  for (const hub::CachedSet& set : cached) {
    if (hub::find_set(set.name) != nullptr) continue;
    for (const hub::CachedPart& part : set.parts) {
      has_any = true;
      const std::string repository =
          part.manifest.repository.empty() ? "your own" : part.manifest.repository;
      others.add_row({one_line(set.name, 40), hub::name_of(part.role),
                      part.is_begun ? "begun" : one_line(repository, 80),
                      part.is_whole ? readable_bytes(part.bytes) : ""});
    }
  }
  if (has_any) std::printf("\nOther sets in the cache:\n%s", others.to_text().c_str());
}

int run_list(const CommonOptions& common) {
  const std::filesystem::path models = hub::models_directory();
  const std::vector<hub::CachedSet> cached = hub::list_cached_sets(models);
  if (common.json) return print_list_json(models, cached);
  print_known_sets(cached);
  print_other_sets(cached);
  std::printf("\nThe cache is %s. `mmra models pull NAME` gets a set.\n",
              one_line(models.string(), 200).c_str());
  return 0;
}

hub::PullRequest to_request(const PullFlags& flags) {
  hub::PullRequest request;
  request.name = flags.name;
  request.into = flags.into;
  request.update = flags.update;
  if (!flags.role.empty()) request.role = hub::find_role(flags.role);
  if (!flags.pooling.empty()) request.pooling = hub::find_pooling(flags.pooling);
  if (!flags.prompt.empty()) request.prompt = flags.prompt;
  if (flags.max_tokens > 0) request.max_tokens = flags.max_tokens;
  return request;
}

nlohmann::ordered_json result_json(const hub::PullResult& result) {
  auto parts = nlohmann::ordered_json::array();
  for (const hub::PulledPart& part : result.parts) {
    parts.push_back({{"role", hub::name_of(part.role)},
                     {"repository", part.manifest.repository},
                     {"revision", part.manifest.revision},
                     {"path", part.directory.string()},
                     {"bytes", part.bytes},
                     {"downloaded_bytes", part.downloaded_bytes},
                     {"was_there", part.was_there}});
  }
  return {{"set", result.set}, {"path", result.directory.string()}, {"parts", parts}};
}

void print_result(const hub::PullResult& result) {
  Table table({"part", "repository", "commit", "size", "downloaded"});
  bool was_all_there = true;
  for (const hub::PulledPart& part : result.parts) {
    was_all_there = was_all_there && part.was_there;
    const std::string repository =
        part.manifest.repository.empty() ? "your own" : part.manifest.repository;
    table.add_row({hub::name_of(part.role), one_line(repository, 80),
                   one_line(part.manifest.revision.substr(0, 12), 12), readable_bytes(part.bytes),
                   part.was_there ? "was there" : readable_bytes(part.downloaded_bytes)});
  }
  std::fputs(table.to_text().c_str(), stdout);
  std::printf("%s %s.\n", was_all_there ? "Nothing to do: everything is in" : "Everything is in",
              one_line(result.directory.string(), 200).c_str());
}

int run_pull(const PullFlags& flags, const CommonOptions& common) {
  const std::stop_token stop = stop_on_interrupt();
  ConsoleProgress progress(common.quiet);
  hub::HubOptions options = hub::hub_options_from_environment();
  options.retry.max_attempts = flags.retries + 1;
  options.retry.first_wait = std::chrono::milliseconds(std::llround(flags.retry_wait_s * 1000.0));
  const hub::PullResult result =
      hub::pull(to_request(flags), hub::models_directory(), options, progress, stop);
  if (common.json) {
    print_json(result_json(result));
  } else {
    print_result(result);
  }
  return 0;
}

void add_pull(CLI::App& parent, CommonOptions& common) {
  auto flags = std::make_shared<PullFlags>();
  flags->retries = 4;
  flags->retry_wait_s = 1.0;
  CLI::App* command = parent.add_subcommand("pull", "Get a set, or one model of a hub");
  command->add_option("name", flags->name, "A set, or owner/name[@revision] of a repository")
      ->required();
  command->add_option("--as", flags->role, "What a repository is to be")
      ->check(CLI::IsMember({"captioner", "visual", "text", "retrieval"}));
  command->add_option("--into", flags->into, "The set it goes into [its own name]");
  command->add_option("--pooling", flags->pooling, "How a text model's vector is made")
      ->check(CLI::IsMember({"cls", "mean", "cls_avg"}));
  command->add_option("--prompt", flags->prompt, "What a text model reads; {text}: the text");
  command->add_option("--max-tokens", flags->max_tokens, "Longest text, in tokens")
      ->check(at_least(3));
  command->add_flag("--update", flags->update,
                    "Ask for a newer revision, or replace what is there");
  command->add_option("--retries", flags->retries, "Attempts after a first that failed")
      ->capture_default_str()
      ->check(at_least(0));
  command->add_option("--retry-wait", flags->retry_wait_s, "Seconds before the first of them")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 600.0));
  add_common_flags(*command, common);
  command->footer(
      "\nGoes on where an earlier pull has stopped; does nothing where everything is there.\n"
      "MMRA_MODELS is where models go, HF_ENDPOINT the hub, HF_TOKEN your token.\n"
      "Example: mmra models pull BAAI/bge-base-en-v1.5 --as retrieval --into mine");
  command->callback(
      [flags, &common] { common.run = [flags, &common] { return run_pull(*flags, common); }; });
}

}  // namespace

void add_models_command(CLI::App& app, CommonOptions& common) {
  CLI::App* command = app.add_subcommand("models", "List and get pretrained encoders");
  command->require_subcommand(1);
  CLI::App* list = command->add_subcommand("list", "Known sets, and what is in the cache");
  add_common_flags(*list, common);
  list->callback([&common] { common.run = [&common] { return run_list(common); }; });
  add_pull(*command, common);
}

}  // namespace mmra::app
