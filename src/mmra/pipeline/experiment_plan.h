#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mmra/bank/memory_bank.h"
#include "mmra/evaluation/experiment.h"
#include "mmra/pipeline/model_directory.h"

namespace mmra::pipeline {

/// What of the paper is repeated.
enum class Experiment {
  kTable2,   ///< every system
  kTable3,   ///< MMRA without each of its parts
  kFigure2,  ///< MMRA by the number of instances
};
[[nodiscard]] std::string_view name_of(Experiment experiment) noexcept;  ///< "table2", …
[[nodiscard]] std::optional<Experiment> parse_experiment(std::string_view name) noexcept;

struct PlanOptions {
  Protocol protocol = Protocol::kHonest;
  bool drop_near_duplicates = false;
  int num_seeds = 5;
  int max_epochs = 0;  ///< of what learns in epochs; 0: what `mmra train` takes
};

/// One row of a table, before anything is trained.
struct PlannedRow {
  std::string name;  ///< as the paper has it
  std::string
      directory;  ///< of its models, below the experiment's; the same row of two tables shares it
  std::vector<std::string> flags;  ///< of `mmra train`, without --bank, --out, --seed and --threads
  std::vector<std::uint64_t> seeds;
  std::optional<evaluation::PaperFigures> paper;
  std::optional<int> k;  ///< of figure 2
  std::string reason;    ///< why it cannot be; then it is not trained
};

/// The rows in the paper's order; table 2 has every system of all_systems(), and the rows that the
/// paper lacks. The first seed is 2024; systems without chance are trained once.
[[nodiscard]] std::vector<PlannedRow> plan_experiment(Experiment experiment,
                                                      const bank::BankInfo& bank,
                                                      const PlanOptions& options);

/// Whose row the others are compared with: MMRA as it is.
inline constexpr std::string_view kReferenceDirectory = "mmra";

}  // namespace mmra::pipeline
