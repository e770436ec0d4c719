// The authors' own network against our `released` variant: same weights, same inputs. The files and
// what made them: tools/golden_mmra_released.py.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "mmra/core/files.h"
#include "mmra/model/neural/adam.h"
#include "mmra/model/neural/mmra_predictor.h"
#include "mmra/model/neural/network.h"
#include "model/golden_tensors.h"
#include "model/made_batch.h"
#include "model/made_values.h"

namespace mmra::model::neural {
namespace {

using Json = nlohmann::json;
using testing::expect_summary;
using testing::made_features;
using testing::MadeNumbers;

/// What the authors' data always has and ours may miss: not in their network.
const std::set<std::string> kOnlyOurs{"absent.visual", "absent.text", "no_instance.label"};

bank::FeatureTable golden_table(const Json& golden) {
  const int dim = golden.at("feature_dim");
  const int frames = golden.at("frames");
  const MadeNumbers visual("visual");
  const MadeNumbers text("text");
  const MadeNumbers popularity("popularity");
  bank::FeatureTable table(dim, dim);
  for (int item = 0; item < golden.at("items").get<int>(); ++item) {
    testing::append_row(
        table, frames,
        made_features(visual, static_cast<std::int64_t>(item) * frames * dim, frames * dim), 1,
        made_features(text, static_cast<std::int64_t>(item) * dim, dim),
        1.0 + static_cast<double>(popularity.hashed(static_cast<std::uint64_t>(item)) % 4096));
  }
  return table;
}

Batch golden_batch(const Json& golden, const bank::FeatureTable& table) {
  const int k = golden.at("k");
  const int size = golden.at("batch");
  const MadeNumbers rows("instances");
  const MadeNumbers similarities("similarities");
  Batch batch;
  batch.queries = &table;
  batch.memory = &table;
  batch.k = k;
  for (int query = 0; query < size; ++query) batch.query_rows.push_back(query);
  for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(size) * static_cast<std::uint64_t>(k);
       ++i) {
    batch.instance_rows.push_back(static_cast<std::int32_t>(rows.hashed(i) % table.num_rows()));
    batch.similarities.push_back(static_cast<float>(similarities.in_unit(i)));
  }
  return batch;
}

std::vector<float> golden_targets(const Batch& batch) {
  std::vector<float> targets;
  for (const std::int32_t row : batch.query_rows) {
    targets.push_back(batch.queries->log2_popularity(static_cast<std::size_t>(row)));
  }
  return targets;
}

MmraConfig golden_config(const Json& golden) {
  MmraConfig config;
  config.variant = Variant::kReleased;
  config.visual_dim = golden.at("feature_dim");
  config.text_dim = config.visual_dim;
  config.k = golden.at("k");
  config.alpha = golden.at("alpha");
  return config;
}

class AuthorsNetwork : public ::testing::TestWithParam<const char*> {
 protected:
  Json golden_ = Json::parse(
      read_file(std::string(MMRA_GOLDEN_DIR "/released/") + std::string(GetParam()) + ".json"));
  bank::FeatureTable table_ = golden_table(golden_);
  Batch batch_ = golden_batch(golden_, table_);

  std::unique_ptr<Network> network_of(at::ScalarType dtype) const {
    std::unique_ptr<Network> network = make_network(golden_config(golden_), dtype);
    testing::set_made_weights(network->parameters(), kOnlyOurs);
    return network;
  }
  void expect_forward(at::ScalarType dtype, const char* key, double tolerance) const {
    const at::NoGradGuard no_grad;
    const at::Tensor output = network_of(dtype)->forward(batch_, nullptr).to(at::kDouble);
    const auto expected = golden_.at(key).get<std::vector<double>>();
    ASSERT_EQ(output.numel(), static_cast<std::int64_t>(expected.size()));
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(output[static_cast<std::int64_t>(i)].item<double>(), expected[i], tolerance) << i;
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Released, AuthorsNetwork,
                         ::testing::Values("reduced", "one_frame", "true_size"),
                         [](const auto& each) { return std::string(each.param); });

TEST_P(AuthorsNetwork, HasTheSameWeights) {
  std::int64_t total = 0;
  const auto network = make_network(golden_config(golden_), at::kFloat);
  std::set<std::string> names;
  for (const Parameter& parameter : network->parameters().all()) {
    if (kOnlyOurs.count(parameter.name) != 0) continue;
    total += parameter.value.numel();
    names.insert(parameter.name);
  }
  EXPECT_EQ(total, golden_.at("num_parameters").get<std::int64_t>());
  std::set<std::string> expected;
  for (const auto& [name, unused] : golden_.at("gradients").items()) expected.insert(name);
  EXPECT_EQ(names, expected);
}

TEST_P(AuthorsNetwork, PredictsTheSameInDouble) {
  expect_forward(at::kDouble, "forward_float64", 1e-12);
}

TEST_P(AuthorsNetwork, PredictsTheSameInFloat) {
  expect_forward(at::kFloat, "forward_float32", 1e-6);
}

TEST_P(AuthorsNetwork, HasTheSameGradientsAndTheSameAdamStep) {
  const auto network = network_of(at::kDouble);
  const auto& parameters = network->parameters().all();
  AdamOptions options;
  options.learning_rate = golden_.at("adam_rate");
  Adam adam(parameters, options);

  const at::Tensor targets = at::tensor(golden_targets(batch_), at::kFloat).to(at::kDouble);
  const at::Tensor loss = (network->forward(batch_, nullptr) - targets).square().mean();
  EXPECT_NEAR(loss.item<double>(), golden_.at("loss_float64"), 1e-10 * loss.item<double>());
  loss.backward();
  std::vector<at::Tensor> before;
  for (const auto& [name, value] : parameters) {
    before.push_back(value.detach().clone());
    if (kOnlyOurs.count(name) != 0) continue;
    const at::Tensor gradient = value.grad().defined() ? value.grad() : at::zeros_like(value);
    expect_summary(gradient, name, golden_.at("gradients").at(name), 1e-9);
  }
  adam.step();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto& [name, value] = parameters[i];
    if (kOnlyOurs.count(name) != 0) continue;
    expect_summary(value.detach() - before[i], name, golden_.at("adam_changes").at(name), 1e-7);
  }
}

TEST_P(AuthorsNetwork, LearnsAlikeInFloat) {
  const auto losses = golden_.at("float_losses").get<std::vector<double>>();
  ASSERT_GE(losses.size(), 3U);
  MmraConfig config = golden_config(golden_);
  config.learning_rate = golden_.at("float_steps_rate");
  MmraPredictor predictor(config, 1);
  testing::set_made_weights(predictor.network().parameters(), kOnlyOurs);
  for (const double expected : losses) {
    EXPECT_NEAR(predictor.train_step(batch_, golden_targets(batch_)), expected, 1e-5 * expected);
  }
}

/// The text is one token, so what pools it and what scores the one token cannot matter.
TEST_P(AuthorsNetwork, NeverTeachesThePoolingOfItsSingleTextToken) {
  const auto network = network_of(at::kDouble);
  network->forward(batch_, nullptr).sum().backward();
  int found = 0;
  for (const auto& [name, value] : network->parameters().all()) {
    if (name.find("uni_modal_linear_2") == std::string::npos) continue;
    ++found;
    EXPECT_TRUE(!value.grad().defined() || value.grad().abs().sum().item<double>() == 0.0) << name;
  }
  EXPECT_EQ(found, 4);
}

}  // namespace
}  // namespace mmra::model::neural
