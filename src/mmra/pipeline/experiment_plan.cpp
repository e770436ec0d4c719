#include "mmra/pipeline/experiment_plan.h"

#include <algorithm>
#include <array>
#include <utility>

#include "mmra/pipeline/systems.h"

namespace mmra::pipeline {
namespace {

using evaluation::PaperFigures;

constexpr std::uint64_t kFirstSeed = 2024;
constexpr int kPaperK = 10;
constexpr std::array kFigureKs = {1, 2, 3, 5, 10, 15, 20, 30};

/// MicroLens-100k, test split, Table 2 of the paper, in its order.
struct PaperRow {
  const char* system;
  const char* name;
  PaperFigures figures;
};
constexpr PaperRow kTable2[] = {
    {"svr", "SVR", {0.8132, 1.2176, 0.4288}},       {"hyfea", "HyFea", {0.8106, 1.2321, 0.4345}},
    {"clstm", "CLSTM", {0.7966, 1.2117, 0.4573}},   {"tmall", "TMALL", {0.9373, 1.2990, 0.3817}},
    {"massl", "MASSL", {1.0797, 1.4136, 0.3875}},   {"cban", "CBAN", {0.7727, 1.1900, 0.4746}},
    {"hmmved", "HMMVED", {0.8632, 1.2524, 0.3716}}, {"mmra", "MMRA", {0.7530, 1.1787, 0.4900}}};

/// Table 3. The SRC of the last row (0.3716) is HMMVED's of Table 2, so probably a misprint.
struct Ablation {
  const char* part;
  const char* name;
  PaperFigures figures;
};
constexpr Ablation kTable3[] = {
    {"retrieval", "w/o RE (retrieval)", {0.7745, 1.1908, 0.4755}},
    {"negative", "w/o NA (negative attention)", {0.7595, 1.1838, 0.4856}},
    {"positive", "w/o PA (positive attention)", {0.7595, 1.1829, 0.4870}},
    {"visual", "w/o V (visual)", {0.7915, 1.2071, 0.4536}},
    {"text", "w/o T (text)", {0.7629, 1.1844, 0.3716}}};

/// What the paper lacks and honesty needs.
struct PlainRow {
  const char* system;
  const char* name;
};
constexpr PlainRow kPlainRows[] = {
    {"mean", "mean of train"}, {"knn", "k-NN of labels"}, {"ridge", "ridge"}};

class Planner {
 public:
  Planner(const bank::BankInfo& bank, const PlanOptions& options)
      : bank_(bank), options_(options) {}

  /// A row of the system of that name.
  [[nodiscard]] PlannedRow row(const std::string& name, const std::string& system_name,
                               std::vector<std::string> flags = {}) const {
    PlannedRow row;
    row.name = name;
    row.directory = system_name;
    row.flags = {"--model", system_name, "--protocol", name_of(options_.protocol)};
    row.flags.insert(row.flags.end(), flags.begin(), flags.end());
    if (options_.drop_near_duplicates) row.flags.emplace_back("--drop-near-duplicates");
    const System& system = find_system(system_name);
    if (options_.max_epochs > 0 && system.learns_in_epochs()) {
      row.flags.insert(row.flags.end(), {"--epochs", std::to_string(options_.max_epochs)});
    }
    const int count = system.depends_on_seed() ? options_.num_seeds : 1;
    for (int i = 0; i < count; ++i) row.seeds.push_back(kFirstSeed + static_cast<unsigned>(i));
    return row;
  }

  [[nodiscard]] PlannedRow mmra(const std::string& name = "MMRA") const {
    PlannedRow row = this->row(name, std::string(kReferenceDirectory));
    row.paper = kTable2[std::size(kTable2) - 1].figures;
    return row;
  }

  [[nodiscard]] std::vector<PlannedRow> table2() const {
    std::vector<PlannedRow> rows;
    for (const PaperRow& paper : kTable2) {
      rows.push_back(row(paper.name, paper.system));
      rows.back().paper = paper.figures;
    }
    for (const System* system : all_systems()) {
      const std::string name(system->name());
      if (!is_named(name)) rows.push_back(row(name, name));
    }
    for (const PlainRow& plain : kPlainRows) rows.push_back(row(plain.name, plain.system));
    rows.push_back(row("MMRA, random retrieval", "mmra", {"--retrieval", "random"}));
    rows.back().directory = "mmra-random-retrieval";
    return rows;
  }

  [[nodiscard]] std::vector<PlannedRow> table3() const {
    std::vector<PlannedRow> rows{mmra()};
    for (const Ablation& ablation : kTable3) {
      rows.push_back(row(ablation.name, "mmra", {"--without", ablation.part}));
      rows.back().directory = std::string("mmra-without-") + ablation.part;
      rows.back().paper = ablation.figures;
      if (rows.back().reason.empty()) rows.back().reason = why_not_without(ablation.part);
    }
    return rows;
  }

  [[nodiscard]] std::vector<PlannedRow> figure2() const {
    std::vector<PlannedRow> rows;
    for (const int k : kFigureKs) {
      const std::string name = "MMRA, k = " + std::to_string(k);
      if (k == kPaperK) {
        rows.push_back(mmra(name));
      } else {
        rows.push_back(row(name, "mmra", {"-k", std::to_string(k)}));
        rows.back().directory = "mmra-k-" + std::to_string(k);
      }
      rows.back().k = k;
    }
    return rows;
  }

 private:
  [[nodiscard]] static bool is_named(std::string_view system) {
    const auto same = [&](const auto& row) { return system == row.system; };
    return std::any_of(std::begin(kTable2), std::end(kTable2), same) ||
           std::any_of(std::begin(kPlainRows), std::end(kPlainRows), same);
  }

  /// A part that the bank does not have cannot be left out.
  [[nodiscard]] std::string why_not_without(std::string_view part) const {
    const bool has_visual = bank_.num_visual_tokens > 0;
    const bool has_text = bank_.num_text_tokens > 0;
    if (part == "visual" && !has_visual) {
      return "the bank has no visual tokens: the row would be MMRA itself";
    }
    if (part == "visual" && !has_text) return "the bank has no text tokens: nothing would be left";
    if (part == "text" && !has_text) {
      return "the bank has no text tokens: the row would be MMRA itself";
    }
    if (part == "text" && !has_visual) {
      return "the bank has no visual tokens: nothing would be left";
    }
    return {};
  }

  const bank::BankInfo& bank_;
  const PlanOptions& options_;
};

}  // namespace

std::string_view name_of(Experiment experiment) noexcept {
  switch (experiment) {
    case Experiment::kTable3:
      return "table3";
    case Experiment::kFigure2:
      return "figure2";
    case Experiment::kTable2:
      break;
  }
  return "table2";
}

std::optional<Experiment> parse_experiment(std::string_view name) noexcept {
  for (const Experiment experiment :
       {Experiment::kTable2, Experiment::kTable3, Experiment::kFigure2}) {
    if (name == name_of(experiment)) return experiment;
  }
  return std::nullopt;
}

std::vector<PlannedRow> plan_experiment(Experiment experiment, const bank::BankInfo& bank,
                                        const PlanOptions& options) {
  const Planner planner(bank, options);
  switch (experiment) {
    case Experiment::kTable3:
      return planner.table3();
    case Experiment::kFigure2:
      return planner.figure2();
    case Experiment::kTable2:
      break;
  }
  return planner.table2();
}

}  // namespace mmra::pipeline
