#include "mmra/pipeline/experiment_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "mmra/pipeline/systems.h"

namespace mmra::pipeline::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSubsetOf;
using ::testing::SizeIs;

bank::BankInfo bank_with(std::int64_t visual_tokens, std::int64_t text_tokens) {
  bank::BankInfo info;
  info.num_visual_tokens = visual_tokens;
  info.num_text_tokens = text_tokens;
  return info;
}

std::vector<PlannedRow> plan(Experiment experiment, const PlanOptions& options = {},
                             const bank::BankInfo& bank = bank_with(10, 10)) {
  return plan_experiment(experiment, bank, options);
}

const PlannedRow& row(const std::vector<PlannedRow>& rows, const std::string& directory) {
  for (const PlannedRow& candidate : rows) {
    if (candidate.directory == directory) return candidate;
  }
  throw std::runtime_error("no row " + directory);
}

TEST(ExperimentPlan, Table2HasEverySystemOnceAndTheControls) {
  const std::vector<PlannedRow> rows = plan(Experiment::kTable2);
  std::multiset<std::string> directories;
  for (const PlannedRow& planned : rows) directories.insert(planned.directory);
  for (const System* system : all_systems()) {
    EXPECT_EQ(directories.count(std::string(system->name())), 1U) << system->name();
  }
  EXPECT_EQ(std::set<std::string>(directories.begin(), directories.end()).size(), rows.size());
  // The paper's rows are there whether or not there is such a system.
  for (const char* name : {"svr", "hyfea", "clstm", "tmall", "massl", "cban", "hmmved", "mmra"}) {
    EXPECT_TRUE(row(rows, name).paper.has_value()) << name;
  }
  const std::string flags = ::testing::PrintToString(row(rows, "mmra-random-retrieval").flags);
  EXPECT_THAT(flags, HasSubstr("\"--retrieval\", \"random\""));
  EXPECT_EQ(row(rows, "mmra").paper->nmse, 0.7530);
  EXPECT_FALSE(row(rows, "ridge").paper.has_value());
}

TEST(ExperimentPlan, ARowWithoutItsSystemSaysSo) {
  for (const PlannedRow& planned : plan(Experiment::kTable2)) {
    bool there = planned.directory == "mmra-random-retrieval";
    for (const System* system : all_systems()) there |= planned.directory == system->name();
    EXPECT_EQ(planned.reason.empty(), there) << planned.name;
    EXPECT_EQ(planned.seeds.empty(), !there) << planned.name;
  }
}

TEST(ExperimentPlan, WhatHasNoChanceIsTrainedOnce) {
  PlanOptions options;
  options.num_seeds = 3;
  const std::vector<PlannedRow> rows = plan(Experiment::kTable2, options);
  EXPECT_THAT(row(rows, "mmra").seeds, ElementsAre(2024, 2025, 2026));
  EXPECT_THAT(row(rows, "mmra-random-retrieval").seeds, SizeIs(3));
  for (const char* name : {"svr", "hyfea", "ridge", "knn", "mean"}) {
    EXPECT_THAT(row(rows, name).seeds, ElementsAre(2024)) << name;
  }
}

TEST(ExperimentPlan, ProtocolAndEpochsAreFlagsOfTheTraining) {
  PlanOptions options;
  options.protocol = Protocol::kChronological;
  options.drop_near_duplicates = true;
  options.max_epochs = 2;
  const std::vector<PlannedRow> rows = plan(Experiment::kTable2, options);
  EXPECT_THAT(row(rows, "mmra").flags, ElementsAre("--model", "mmra", "--protocol", "chronological",
                                                   "--drop-near-duplicates", "--epochs", "2"));
  EXPECT_THAT(row(rows, "ridge").flags, ElementsAre("--model", "ridge", "--protocol",
                                                    "chronological", "--drop-near-duplicates"));
}

TEST(ExperimentPlan, Table3LeavesOutAPartAtATime) {
  const std::vector<PlannedRow> rows = plan(Experiment::kTable3);
  ASSERT_THAT(rows, SizeIs(6));
  EXPECT_EQ(rows[0].directory, kReferenceDirectory);
  const char* const parts[] = {"retrieval", "negative", "positive", "visual", "text"};
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_THAT((std::vector<std::string>{"--without", parts[i]}), IsSubsetOf(rows[i + 1].flags));
    EXPECT_TRUE(rows[i + 1].paper.has_value());
    EXPECT_THAT(rows[i + 1].reason, IsEmpty());
  }
}

TEST(ExperimentPlan, APartThatTheBankLacksCannotBeLeftOut) {
  auto rows = plan(Experiment::kTable3, {}, bank_with(0, 10));
  EXPECT_THAT(row(rows, "mmra-without-visual").reason, HasSubstr("no visual tokens"));
  EXPECT_THAT(row(rows, "mmra-without-text").reason, HasSubstr("nothing would be left"));
  EXPECT_THAT(row(rows, "mmra-without-retrieval").reason, IsEmpty());
  rows = plan(Experiment::kTable3, {}, bank_with(10, 0));
  EXPECT_THAT(row(rows, "mmra-without-text").reason, HasSubstr("no text tokens"));
  EXPECT_THAT(row(rows, "mmra-without-visual").reason, HasSubstr("nothing would be left"));
}

TEST(ExperimentPlan, Figure2GoesOverTheKsOfThePaper) {
  const std::vector<PlannedRow> rows = plan(Experiment::kFigure2);
  std::vector<int> ks;
  for (const PlannedRow& planned : rows) ks.push_back(planned.k.value());
  EXPECT_THAT(ks, ElementsAre(1, 2, 3, 5, 10, 15, 20, 30));
  EXPECT_EQ(rows[4].directory, kReferenceDirectory) << "k = 10 is MMRA as it is, trained once";
  EXPECT_THAT(rows[0].flags, Contains("-k"));
}

TEST(ExperimentPlan, NamesAreReadAsTheyAreWritten) {
  for (const Experiment experiment :
       {Experiment::kTable2, Experiment::kTable3, Experiment::kFigure2}) {
    EXPECT_EQ(parse_experiment(name_of(experiment)), experiment);
  }
  EXPECT_FALSE(parse_experiment("table4").has_value());
}

}  // namespace
}  // namespace mmra::pipeline::testing
