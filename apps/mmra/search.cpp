#include <algorithm>
#include <cstdio>

#include "command.h"
#include "console.h"
#include "interrupt.h"
#include "mmra/pipeline/prediction_json.h"
#include "prediction_output.h"
#include "query_flags.h"

namespace mmra::app {
namespace {

struct SearchFlags {
  std::string bank;
  QueryFlags query;
  int k = 10;
  std::string horizon;
  bool exact = false;
  encoders::Precision precision = encoders::Precision::kAuto;
};

int run_search(const SearchFlags& flags, const CommonOptions& common) {
  const std::stop_token stop = stop_on_interrupt();
  pipeline::Query query = to_query(flags.query);
  if (!flags.horizon.empty()) query.horizon = bank::require_horizon(flags.horizon);
  if (!query.id && query.title.empty() && query.video.empty()) {
    std::fprintf(stderr,
                 "error: give --text, --video or both, or --id (mmra search --help explains)\n");
    return 2;
  }
  const auto bank = open_for_reading(flags.bank);
  const pipeline::SearchResult result = pipeline::search_bank(
      *bank, flags.bank, query, flags.k, common.threads(), stop, flags.precision,
      flags.exact ? pipeline::SearchMethod::kExact : pipeline::SearchMethod::kAsTheBankDoes);
  if (result.warning) std::fprintf(stderr, "warning: %s\n", result.warning->c_str());
  if (common.json) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& instance : result.instances) {
      list.push_back(pipeline::to_search_json(instance));
    }
    print_json(list);
    return 0;
  }
  if (!result.captions.empty()) std::printf("%s\n", describe_captions(result.captions).c_str());
  bank::BankSchema schema = bank->info().schema;
  if (!flags.horizon.empty()) schema.popularity_horizon = flags.horizon;
  const bool any_captions =
      std::any_of(result.instances.begin(), result.instances.end(),
                  [](const pipeline::Instance& instance) { return !instance.captions.empty(); });
  std::vector<std::string> header = {
      "id", "similarity", describe_unit(schema.popularity_unit, schema.popularity_horizon),
      "title"};
  if (any_captions) header.emplace_back("its frames show");
  Table table(header);
  for (const auto& instance : result.instances) {
    std::vector<std::string> cells = {one_line(instance.id, 24), fixed(instance.similarity, 3),
                                      readable_count(instance.popularity),
                                      one_line(instance.title, any_captions ? 48 : 72)};
    if (any_captions) {
      cells.push_back(instance.captions.empty() ? "" : one_line(instance.captions.front(), 48));
    }
    table.add_row(std::move(cells));
  }
  if (result.instances.empty()) {
    std::printf("No record of the bank may be retrieved for this query.\n");
  } else {
    std::fputs(table.to_text().c_str(), stdout);
  }
  return 0;
}

}  // namespace

void add_search_command(CLI::App& app, CommonOptions& common) {
  auto flags = std::make_shared<SearchFlags>();
  CLI::App* command =
      app.add_subcommand("search", "Find the most similar labelled records of a bank");
  command->add_option("--bank", flags->bank, kBankHelp)->required();
  add_query_flags(*command, flags->query, "--text");
  command->add_option("-k", flags->k, "How many")->capture_default_str()->check(at_least(1));
  command->add_option("--horizon", flags->horizon,
                      "Popularities so long after posting, e.g. 7d [the bank's]");
  command->add_flag("--exact", flags->exact, "Look at every record, also where there is an index");
  add_common_flags(*command, common);
  add_precision_flag(*command, flags->precision);
  command->footer("\nExample: mmra search --bank my.bank --text \"cat on a skateboard\" -k 5");
  command->callback(
      [flags, &common] { common.run = [flags, &common] { return run_search(*flags, common); }; });
}

}  // namespace mmra::app
