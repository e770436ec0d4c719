#include "mmra/baselines/svm_file.h"

#include <gtest/gtest.h>
#include <libsvm/svm.h>

#include <cmath>
#include <random>

#include "expect_error.h"
#include "mmra/baselines/svm_training.h"
#include "mmra/core/files.h"
#include "test_files.h"

namespace mmra::baselines {
namespace {

using testing::expect_error;

constexpr char kHeader[] =
    "svm_type epsilon_svr\nkernel_type rbf\ngamma 0.5\nnr_class 2\ntotal_sv 2\nrho -1.5\nSV\n";

SupportVectors parse(const std::string& text) { return parse_svm_file(text, 3, "m.svm"); }

TEST(SvmFile, IsReadAsLibsvmMeansIt) {
  const SupportVectors vectors = parse(std::string(kHeader) + "2 1:1 3:-2.5 \n-0.25 2:4e-1 \n");
  EXPECT_EQ(vectors.gamma, 0.5);
  EXPECT_EQ(vectors.rho, -1.5);
  EXPECT_EQ(vectors.coefficients, (std::vector<double>{2.0, -0.25}));
  EXPECT_EQ(vectors.vectors, (std::vector<float>{1, 0, -2.5, 0, 0.4F, 0}));
  const std::vector<float> x = {1, 0, 0};
  EXPECT_NEAR(vectors.evaluate(x), 1.5 + 2.0 * std::exp(-0.5 * 6.25) - 0.25 * std::exp(-0.5 * 1.16),
              1e-6);
}

TEST(SvmFile, PredictsAsLibsvmItself) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  FeatureMatrix rows{60, 8, {}};
  std::vector<float> targets;
  for (int i = 0; i < 60 * 8; ++i) rows.values.push_back(i % 11 == 0 ? 0.0F : normal(random));
  for (std::size_t i = 0; i < 60; ++i) targets.push_back(3.0F + rows.row(i)[1]);
  SvrSettings settings;
  settings.gamma = gamma_scale(rows);
  const std::string text = train_svr(rows, targets, settings, {});
  const SupportVectors vectors = parse_svm_file(text, 8, "m.svm");
  const testing::TemporaryDirectory directory;
  write_file_atomically(directory / "m.svm", text);
  svm_model* model = svm_load_model((directory / "m.svm").c_str());
  ASSERT_NE(model, nullptr);
  for (std::size_t i = 0; i < 60; ++i) {
    std::vector<svm_node> nodes;
    for (int j = 0; j < 8; ++j) nodes.push_back({j + 1, rows.row(i)[static_cast<std::size_t>(j)]});
    nodes.push_back({-1, 0.0});
    EXPECT_NEAR(vectors.evaluate(rows.row(i)), svm_predict(model, nodes.data()), 1e-5);
  }
  svm_free_and_destroy_model(&model);
}

TEST(SvmFile, RefusesWhatIsNotOne) {
  const std::string header = kHeader;
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = header + "2 1:1\n1 2:1\n";
    return text.replace(text.find(from), from.size(), to);
  };
  const std::pair<std::string, const char*> cases[] = {
      {"", "no support vectors"},
      {"svm_type epsilon_svr\n", "no support vectors"},
      {changed("epsilon_svr", "c_svc"), "epsilon_svr with an rbf kernel"},
      {changed("rbf", "linear"), "epsilon_svr with an rbf kernel"},
      {changed("gamma 0.5\n", ""), "gamma, rho and total_sv"},
      {changed("gamma 0.5", "gamma half"), "\"half\" where a number"},
      {changed("rho -1.5", "rho nan"), "not finite"},
      {changed("nr_class", "probA"), "unknown key \"probA\""},
      {changed("total_sv 2", "total_sv 3"), "of 2 support vectors, expected 3"},
      {changed("total_sv 2", "total_sv 1"), "of 2 support vectors, expected 1"},
      {changed("total_sv 2", "total_sv 9000000000000000000"), "bytes left"},
      {changed("total_sv 2", "total_sv -2"), "\"-2\" where a number"},
      {header + "2 4:1\n1 2:1\n", "index 4, expected one above 0, up to 3"},
      {header + "2 2:1 2:1\n1 2:1\n", "index 2, expected one above 2"},
      {header + "2 0:1\n1 2:1\n", "index 0"},
      {header + "2 1:x\n1 2:1\n", "\"x\" where a number"},
      {header + "2 1\n1 2:1\n", "without its index"},
      {header + "inf 1:1\n1 2:1\n", "not finite"},
      {header + "\n1 2:1\n", "\"\" where a number"},
      {header + "2 1:1\n1 2:1", "cut off"}};
  for (const auto& [text, part] : cases) {
    expect_error(ErrorKind::kCorruptData, part, [&, &input = text] { (void)parse(input); });
    expect_error(ErrorKind::kCorruptData, "m.svm: line",
                 [&, &input = text] { (void)parse(input); });
  }
}

TEST(GammaScale, IsScikitLearns) {
  EXPECT_DOUBLE_EQ(gamma_scale({2, 2, {1, 3, 5, 7}}), 1.0 / (2 * 5.0));
  EXPECT_DOUBLE_EQ(gamma_scale({1, 4, {2, 2, 2, 2}}), 0.25);
}

TEST(TrainSvr, SaysWhichSettingLibsvmRefuses) {
  SvrSettings settings{-1.0, 0.1, 1.0};
  expect_error(ErrorKind::kInvalidInput, "C <= 0", [&] {
    (void)train_svr({2, 1, {1, 2}}, {1, 2}, settings, {});
  });
}

}  // namespace
}  // namespace mmra::baselines
