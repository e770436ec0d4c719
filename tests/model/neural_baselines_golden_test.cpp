// The authors' own baselines against our `released` variants, and TMALL's own objective: same
// weights, same inputs, same noise. The files and what made them: tools/golden/neural_baselines.py.
#include <ATen/CPUGeneratorImpl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "mmra/core/files.h"
#include "mmra/model/neural/adam.h"
#include "mmra/model/neural/baselines/baseline_predictor.h"
#include "mmra/model/neural/baselines/tmall.h"
#include "mmra/model/neural/baselines/variational.h"
#include "model/golden_tensors.h"
#include "model/made_batch.h"

namespace mmra::model::neural {
namespace {

using Json = nlohmann::json;
using testing::expect_summary;
using testing::made_features;
using testing::MadeNumbers;

/// What the authors' data always has and ours may miss: not in their networks.
const std::set<std::string> kOnlyOurs{"absent.visual", "absent.text", "absent.textual"};

Json read_golden(const std::string& name) {
  return Json::parse(read_file(MMRA_GOLDEN_DIR "/neural_baselines/" + name + ".json"));
}

double made_popularity(int item) {
  return 1.0 + static_cast<double>(
                   MadeNumbers("popularity").hashed(static_cast<std::uint64_t>(item)) % 4096);
}

/// Twice the rows of the batch: TMALL's penalty looks at as many rows without a label.
bank::FeatureTable golden_table(const Json& golden) {
  const std::int64_t dim = golden.at("feature_dim");
  const int frames = golden.at("frames");
  const MadeNumbers visual("visual");
  const MadeNumbers text("text");
  bank::FeatureTable table(static_cast<int>(dim), static_cast<int>(dim));
  for (int item = 0; item < 2 * golden.at("batch").get<int>(); ++item) {
    testing::append_row(table, frames, made_features(visual, item * frames * dim, frames * dim), 1,
                        made_features(text, item * dim, dim), made_popularity(item));
  }
  return table;
}

Batch first_rows(const bank::FeatureTable& table, int size) {
  Batch batch;
  batch.queries = &table;
  for (int row = 0; row < size; ++row) batch.query_rows.push_back(row);
  return batch;
}

NeuralBaselineConfig golden_config(const Json& golden) {
  const auto kind = parse_neural_baseline(golden.at("kind").get<std::string>());
  NeuralBaselineConfig config = default_config(kind.value(), Variant::kReleased);
  config.visual_dim = golden.at("feature_dim");
  config.text_dim = config.visual_dim;
  config.num_frames = golden.at("frames");
  return config;
}

std::set<std::string> keys_of(const Json& object) {
  std::set<std::string> keys;
  for (const auto& [key, unused] : object.items()) keys.insert(key);
  return keys;
}

void expect_gradients(const Network& network, const Json& expected) {
  for (const auto& [name, value] : network.parameters().all()) {
    if (kOnlyOurs.count(name) != 0 && !expected.contains(name)) continue;
    expect_summary(value.grad().defined() ? value.grad() : at::zeros_like(value), name,
                   expected.at(name), 1e-9);
  }
}

/// One step of Adam with the gradients that lie in the weights.
void expect_adam_step(Network& network, const Json& golden) {
  const auto& parameters = network.parameters().all();
  AdamOptions options;
  options.learning_rate = golden.at("adam_rate");
  Adam adam(parameters, options);
  std::vector<at::Tensor> before;
  for (const Parameter& parameter : parameters) before.push_back(parameter.value.detach().clone());
  adam.step();
  const Json& expected = golden.at("adam_changes");
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto& [name, value] = parameters[i];
    if (kOnlyOurs.count(name) != 0 && !expected.contains(name)) continue;
    expect_summary(value.detach() - before[i], name, expected.at(name), 1e-6);
  }
}

class AuthorsBaseline : public ::testing::TestWithParam<const char*> {
 protected:
  [[nodiscard]] std::unique_ptr<Network> network_of(at::ScalarType dtype) const {
    std::unique_ptr<Network> network = make_baseline_network(golden_config(golden_), dtype);
    testing::set_made_weights(network->parameters(), kOnlyOurs);
    return network;
  }
  [[nodiscard]] at::Tensor targets() const {
    std::vector<float> values;
    for (const std::int32_t row : batch_.query_rows) {
      values.push_back(table_.log2_popularity(static_cast<std::size_t>(row)));
    }
    return at::tensor(values).to(at::kDouble);
  }
  /// Output and objective without dropout, of the noise that the golden file was made with.
  struct Result {
    at::Tensor output;
    at::Tensor objective;
  };
  [[nodiscard]] Result run(const Network& network) const {
    const at::Tensor wanted = targets();
    if (const auto* tmall = dynamic_cast<const TmallNetwork*>(&network)) {
      const auto size = static_cast<std::int32_t>(batch_.query_rows.size());
      std::vector<std::int32_t> unlabelled;
      for (std::int32_t row = size; row < 2 * size; ++row) unlabelled.push_back(row);
      const_cast<TmallNetwork*>(tmall)->see_unlabelled(table_, unlabelled);
      return {network.forward(batch_, nullptr),
              tmall->objective_with(batch_, wanted, unlabelled, nullptr).total};
    }
    const auto* variational = dynamic_cast<const VariationalNetwork*>(&network);
    if (variational == nullptr) {
      const at::Tensor output = network.forward(batch_, nullptr);
      return {output, (output - wanted).square().mean()};
    }
    const Gaussian latent = variational->encode(batch_, nullptr);
    const MadeNumbers made("noise");
    at::Tensor noise = at::empty(latent.mean.sizes(), at::kDouble);
    for (std::int64_t i = 0; i < noise.numel(); ++i) {
      noise.data_ptr<double>()[i] = 2.0 * made.in_unit(static_cast<std::uint64_t>(i));
    }
    const at::Tensor z =
        latent.mean + noise.to(latent.mean.scalar_type()) * (latent.log_square * 0.5).exp();
    const at::Tensor output = variational->decode(z, nullptr);
    return {output, variational->objective_of(output, latent, wanted).total};
  }
  void expect_forward(at::ScalarType dtype, const char* key, double relative) const {
    const at::NoGradGuard no_grad;
    const at::Tensor output = run(*network_of(dtype)).output.to(at::kDouble);
    const auto expected = golden_.at(key).get<std::vector<double>>();
    ASSERT_EQ(output.numel(), static_cast<std::int64_t>(expected.size()));
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(output[static_cast<std::int64_t>(i)].item<double>(), expected[i],
                  relative * (1.0 + std::abs(expected[i])))
          << i;
    }
  }

  Json golden_ = read_golden(GetParam());
  bank::FeatureTable table_ = golden_table(golden_);
  Batch batch_ = first_rows(table_, golden_.at("batch"));
};

INSTANTIATE_TEST_SUITE_P(Released, AuthorsBaseline,
                         ::testing::Values("clstm_reduced", "clstm_one_frame", "clstm_true_size",
                                           "cban_reduced", "cban_one_frame", "cban_true_size",
                                           "hmmved_reduced", "hmmved_one_frame", "hmmved_true_size",
                                           "massl_reduced", "massl_one_frame", "massl_true_size",
                                           "tmall_one_frame"),
                         [](const auto& each) { return std::string(each.param); });

TEST_P(AuthorsBaseline, HasTheSameWeights) {
  std::int64_t total = 0;
  std::set<std::string> names;
  const auto network = network_of(at::kFloat);
  for (const Parameter& parameter : network->parameters().all()) {
    if (kOnlyOurs.count(parameter.name) != 0) continue;
    total += parameter.value.numel();
    names.insert(parameter.name);
  }
  EXPECT_EQ(total, golden_.at("num_parameters").get<std::int64_t>());
  EXPECT_EQ(names, keys_of(golden_.at("gradients")));
}

TEST_P(AuthorsBaseline, PredictsTheSameInDouble) {
  expect_forward(at::kDouble, "forward_float64", 1e-12);
}

TEST_P(AuthorsBaseline, PredictsTheSameInFloat) {
  expect_forward(at::kFloat, "forward_float32", 2e-6);
}

TEST_P(AuthorsBaseline, HasTheSameGradientsAndTheSameAdamStep) {
  const auto network = network_of(at::kDouble);
  const at::Tensor objective = run(*network).objective;
  EXPECT_NEAR(objective.item<double>(), golden_.at("objective"), 1e-10 * objective.item<double>());
  objective.backward();
  expect_gradients(*network, golden_.at("gradients"));
  expect_adam_step(*network, golden_);
}

class AuthorsBaselineInTraining : public AuthorsBaseline {};
INSTANTIATE_TEST_SUITE_P(Released, AuthorsBaselineInTraining,
                         ::testing::Values("hmmved_one_frame", "massl_one_frame"),
                         [](const auto& each) { return std::string(each.param); });

/// In training mode: dropout and z are drawn in the same places, in the same order, from LibTorch's
/// own generator.
TEST_P(AuthorsBaselineInTraining, DrawsTheSameNumbers) {
  const Json& seeded = golden_.at("seeded");
  const auto network = network_of(at::kDouble);
  at::Generator generator = at::detail::createCPUGenerator(seeded.at("seed").get<std::uint64_t>());
  const at::Tensor total = network->objective(batch_, targets(), generator).total;
  EXPECT_NEAR(total.item<double>(), seeded.at("objective"), 1e-10 * total.item<double>());
  total.backward();
  expect_gradients(*network, seeded.at("gradients"));
}

TEST(TmallsOwnObjective, IsThatOfItsPaper) {
  const Json golden = read_golden("tmall_paper_reduced");
  NeuralBaselineConfig config;
  config.kind = NeuralBaseline::kTmall;
  config.visual_dim = golden.at("visual_dim");
  config.text_dim = golden.at("text_dim");
  config.width = golden.at("width");
  config.smoothness = golden.at("smoothness");
  config.disagreement = golden.at("disagreement");
  const int frames = golden.at("frames");
  const int words = golden.at("words");
  const int batch_size = golden.at("batch");
  const auto without_video = golden.at("without_video").get<std::set<int>>();
  const auto without_title = golden.at("without_title").get<std::set<int>>();
  bank::FeatureTable table(config.visual_dim, config.text_dim);
  std::vector<std::int32_t> unlabelled;
  for (int row = 0; row < golden.at("rows").get<int>(); ++row) {
    const int num_frames = without_video.count(row) != 0 ? 0 : frames;
    const int num_words = without_title.count(row) != 0 ? 0 : words;
    const std::int64_t visual_size = static_cast<std::int64_t>(frames) * config.visual_dim;
    const std::int64_t text_size = static_cast<std::int64_t>(words) * config.text_dim;
    testing::append_row(
        table, num_frames,
        made_features(MadeNumbers("visual"), row * visual_size, num_frames == 0 ? 0 : visual_size),
        num_words,
        made_features(MadeNumbers("text"), row * text_size, num_words == 0 ? 0 : text_size),
        made_popularity(row));
    if (row >= batch_size) unlabelled.push_back(row);
  }
  TmallNetwork network(config, at::kDouble);
  testing::set_made_weights(network.parameters(), {});
  network.see_unlabelled(table, unlabelled);
  const Batch batch = first_rows(table, batch_size);
  std::vector<float> labels;
  for (int row = 0; row < batch_size; ++row) {
    labels.push_back(table.log2_popularity(static_cast<std::size_t>(row)));
  }
  const at::Tensor output = network.forward(batch, nullptr);
  const auto expected = golden.at("forward_float64").get<std::vector<double>>();
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(output[static_cast<std::int64_t>(i)].item<double>(), expected[i], 1e-12);
  }
  const at::Tensor total =
      network.objective_with(batch, at::tensor(labels).to(at::kDouble), unlabelled, nullptr).total;
  EXPECT_NEAR(total.item<double>(), golden.at("objective"), 1e-10 * total.item<double>());
  total.backward();
  expect_gradients(network, golden.at("gradients"));
  expect_adam_step(network, golden);
}

}  // namespace
}  // namespace mmra::model::neural
