// The `paper` variant against the paper's equations written out as plain loops, one query at a
// time, without padding.
#include "mmra/model/neural/paper_network.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "model/small_networks.h"

namespace mmra::model::neural {
namespace {

using Vector = std::vector<double>;
using Matrix = std::vector<Vector>;  // rows

double inner(const Vector& a, const Vector& b) {
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

Vector softmax(Vector scores) {
  const double largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0.0;
  for (double& score : scores) sum += score = std::exp(score - largest);
  for (double& score : scores) score /= sum;
  return scores;
}

Vector relu(Vector x) {
  for (double& value : x) value = std::max(0.0, value);
  return x;
}

Vector combine(const Vector& weights, const Matrix& rows) {
  Vector sum(rows.front().size(), 0.0);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (std::size_t c = 0; c < sum.size(); ++c) sum[c] += weights[r] * rows[r][c];
  }
  return sum;
}

/// One query through the network, by the equations.
class PlainPaperNetwork {
 public:
  PlainPaperNetwork(const MmraConfig& config, Network& network) : config_(config) {
    for (const auto& [name, value] : testing::weights_by_name(network)) {
      const at::Tensor matrix = value.dim() == 2 ? value : value.reshape({1, -1});
      const auto at = matrix.accessor<double, 2>();
      Matrix& rows = weights_[name];
      for (std::int64_t r = 0; r < matrix.size(0); ++r) {
        rows.emplace_back();
        for (std::int64_t c = 0; c < matrix.size(1); ++c) rows.back().push_back(at[r][c]);
      }
    }
  }

  double predict(const Batch& one) const {
    const Matrix no_tokens;
    const bool visual = !config_.without.visual;
    const bool text = !config_.without.text;
    const auto [own_v, own_t] =
        interact("interaction", visual ? query_tokens(one, Modality::kVisual) : no_tokens,
                 text ? query_tokens(one, Modality::kText) : no_tokens);
    Matrix mine;
    if (visual) mine.push_back(own_v);
    if (text) mine.push_back(own_t);
    Matrix h = mine;
    if (!config_.without.retrieval) {
      const auto [v, t] =
          interact("retrieved_interaction", visual ? aggregate(one, Modality::kVisual) : no_tokens,
                   text ? aggregate(one, Modality::kText) : no_tokens);
      Matrix others;
      if (visual) others.push_back(v);
      if (text) others.push_back(t);
      others.push_back(label(one));
      Vector interactions;
      for (const Vector& a : mine) {
        for (const Vector& b : others) {
          interactions.push_back(inner(a, b) /
                                 (config_.scaled_interactions ? std::sqrt(width()) : 1.0));
        }
      }
      h.insert(h.end(), others.begin(), others.end());
      h.push_back(interactions);
    }
    Vector x;
    for (const Vector& part : h) x.insert(x.end(), part.begin(), part.end());
    for (std::size_t layer = 0;; layer += 2) {
      const std::string name = "prediction." + std::to_string(layer);
      x = apply(name + ".weight", x, name + ".bias");
      if (layer == 2 * config_.mlp_hidden.size()) return x.at(0);
      x = relu(x);
    }
  }

 private:
  [[nodiscard]] double width() const { return config_.width; }

  [[nodiscard]] Vector apply(const std::string& weight, const Vector& x,
                             const std::string& bias = "") const {
    Vector y;
    for (const Vector& row : weights_.at(weight)) y.push_back(inner(row, x));
    if (!bias.empty()) {
      for (std::size_t i = 0; i < y.size(); ++i) y[i] += weights_.at(bias)[0][i];
    }
    return y;
  }

  /// X = ReLU(E W + b), eq. of section 2.2.1; no rows without the modality.
  [[nodiscard]] Matrix input_tokens(const bank::FeatureTable& table, std::int32_t row,
                                    Modality modality) const {
    const bank::TokenView view = tokens_of(table, static_cast<std::size_t>(row), modality);
    const std::string name = modality == Modality::kVisual ? "input_visual" : "input_text";
    Matrix x;
    for (int token = 0; token < view.num_tokens; ++token) {
      Vector e;
      for (int c = 0; c < view.dim; ++c) {
        e.push_back(half_to_float(view.values[static_cast<std::size_t>(token * view.dim + c)]));
      }
      x.push_back(relu(apply(name + ".weight", e, name + ".bias")));
    }
    return x;
  }

  [[nodiscard]] const Matrix& stand_in(const std::string& kind, Modality modality) const {
    return weights_.at(kind + (modality == Modality::kVisual ? ".visual" : ".text"));
  }

  [[nodiscard]] Matrix query_tokens(const Batch& one, Modality modality) const {
    const Matrix x = input_tokens(*one.queries, one.query_rows.at(0), modality);
    return x.empty() ? stand_in("absent", modality) : x;
  }

  /// (row, weight) of the instances that exist: softmax over the similarities, eq. 4.
  [[nodiscard]] std::vector<std::pair<std::int32_t, double>> instances(const Batch& one) const {
    std::vector<std::int32_t> rows;
    Vector scores;
    for (std::size_t j = 0; j < one.instance_rows.size(); ++j) {
      if (one.instance_rows[j] < 0) continue;
      rows.push_back(one.instance_rows[j]);
      scores.push_back(config_.similarity_scale * static_cast<double>(one.similarities[j]));
    }
    std::vector<std::pair<std::int32_t, double>> result;
    if (rows.empty()) return result;
    const Vector weights = softmax(scores);
    for (std::size_t j = 0; j < rows.size(); ++j) result.emplace_back(rows[j], weights[j]);
    return result;
  }

  /// At each position the weights are renormalised over the instances that have it.
  [[nodiscard]] Matrix aggregate(const Batch& one, Modality modality) const {
    const auto all = instances(one);
    if (all.empty()) return stand_in("no_instance", modality);
    Matrix result;
    for (std::size_t position = 0;; ++position) {
      Matrix tokens;
      Vector weights;
      double sum = 0.0;
      for (const auto& [row, weight] : all) {
        const Matrix x = input_tokens(*one.memory, row, modality);
        if (position >= x.size()) continue;
        tokens.push_back(x[position]);
        weights.push_back(weight);
        sum += weight;
      }
      if (tokens.empty()) break;
      for (double& weight : weights) weight /= sum;
      result.push_back(combine(weights, tokens));
    }
    return result.empty() ? stand_in("absent", modality) : result;
  }

  [[nodiscard]] Vector label(const Batch& one) const {
    double sum = 0.0;
    double total = 0.0;
    for (const auto& [row, weight] : instances(one)) {
      const double y = one.memory->log2_popularity(static_cast<std::size_t>(row));
      if (std::isnan(y)) continue;
      sum += weight * (y - config_.label_mean) / config_.label_std;
      total += weight;
    }
    if (total == 0.0) return weights_.at("no_instance.label").at(0);
    return apply("label.weight", {sum / total}, "label.bias");
  }

  /// softmax(factor · QKᵀ/√d) V: eq. 2 with α, eq. 3 with β = −(1−α).
  [[nodiscard]] Matrix attend(const std::string& name, double factor, const Matrix& from,
                              const Matrix& to) const {
    Matrix keys;
    Matrix values;
    for (const Vector& x : to) {
      keys.push_back(apply(name + ".key", x));
      values.push_back(apply(name + ".value", x));
    }
    Matrix result;
    for (const Vector& x : from) {
      const Vector query = apply(name + ".query", x);
      Vector scores;
      for (const Vector& key : keys)
        scores.push_back(factor * inner(query, key) / std::sqrt(width()));
      result.push_back(combine(softmax(scores), values));
    }
    return result;
  }

  /// Attends from `x` to the tokens of the other modality, fuses, pools.
  [[nodiscard]] Vector one_side(const std::string& prefix, const std::string& own,
                                const std::string& other, const Matrix& x,
                                const Matrix& other_x) const {
    Matrix attended(x.size());
    if (!other_x.empty()) {
      const auto append = [&](const std::string& polarity, double factor) {
        const Matrix part = attend(prefix + "." + polarity + "_" + other, factor, x, other_x);
        for (std::size_t i = 0; i < x.size(); ++i) {
          attended[i].insert(attended[i].end(), part[i].begin(), part[i].end());
        }
      };
      if (!config_.without.positive_attention) append("positive", config_.alpha);
      if (!config_.without.negative_attention) append("negative", -(1.0 - config_.alpha));
    }
    Matrix fused;
    Vector scores;
    for (std::size_t i = 0; i < x.size(); ++i) {
      Vector inside = x[i];
      if (!attended[i].empty()) {
        const Vector change = apply(prefix + ".fuse_" + own + ".w1", attended[i]);
        for (std::size_t c = 0; c < inside.size(); ++c) inside[c] += change[c];
      }
      fused.push_back(apply(prefix + ".fuse_" + own + ".w2", relu(inside)));
      const std::string pool = prefix + ".pool_" + own;
      Vector hidden = apply(pool + ".hidden.weight", fused.back(), pool + ".hidden.bias");
      for (double& value : hidden) value = std::tanh(value);
      scores.push_back(apply(pool + ".score.weight", hidden).at(0));
    }
    return combine(softmax(scores), fused);
  }

  [[nodiscard]] std::pair<Vector, Vector> interact(const std::string& prefix, const Matrix& visual,
                                                   const Matrix& text) const {
    return {visual.empty() ? Vector{} : one_side(prefix, "visual", "text", visual, text),
            text.empty() ? Vector{} : one_side(prefix, "text", "visual", text, visual)};
  }

  MmraConfig config_;
  std::map<std::string, Matrix> weights_;
};

void expect_equations(const MmraConfig& config, const Batch& batch) {
  const auto network = testing::small_network(config);
  const PlainPaperNetwork plain(config, *network);
  const at::NoGradGuard no_grad;
  const at::Tensor output = network->forward(batch, nullptr);
  for (std::size_t i = 0; i < batch.query_rows.size(); ++i) {
    EXPECT_NEAR(output[static_cast<std::int64_t>(i)].item<double>(),
                plain.predict(testing::single(batch, i)), 1e-12)
        << "row " << i;
  }
}

/// Rows of all lengths, with and without each modality, and two without a label.
bank::FeatureTable made_memory() {
  bank::FeatureTable table =
      testing::made_table(36, testing::kSmallVisualDim, testing::kSmallTextDim, 3, 4, 1);
  std::mt19937 random(8);
  for (int i = 0; i < 2; ++i) {
    testing::append_row(table, 2, testing::made_tokens(random, 2, testing::kSmallVisualDim), 1,
                        testing::made_tokens(random, 1, testing::kSmallTextDim), std::nullopt);
  }
  return table;
}

class PaperEquations : public ::testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Mmra, PaperEquations, ::testing::Range(0, 24));

TEST_P(PaperEquations, GiveWhatTheNetworkGives) {
  const bank::FeatureTable table = made_memory();
  Batch batch = testing::made_batch(table, 12, testing::kSmallInstances, 2);
  // Of row 0 one instance has no label, of row 2 none has one; row 3 has instances without a video
  // (4, 9, 14), row 5 such without a title (6, 13, 20).
  batch.instance_rows[0] = 36;
  for (std::size_t j = 0; j < 3; ++j) {
    batch.instance_rows[2 * 3 + j] = j == 1 ? -1 : 37;
    batch.instance_rows[3 * 3 + j] = 4 + 5 * static_cast<std::int32_t>(j);
    batch.instance_rows[5 * 3 + j] = 6 + 7 * static_cast<std::int32_t>(j);
  }
  MmraConfig config = testing::small_network_config(Variant::kPaper);
  config.without = testing::without_of_bits(GetParam());
  expect_equations(config, batch);
  config.alpha = 0.9;
  config.scaled_interactions = false;
  config.mlp_hidden = {7};
  expect_equations(config, batch);
}

TEST(PaperNetwork, TakesOneHiddenLayerOfItsWidthByItself) {
  MmraConfig config = testing::small_network_config(Variant::kPaper);
  config.mlp_hidden = {};
  const auto weights = testing::weights_by_name(*testing::small_network(config));
  EXPECT_EQ(weights.at("prediction.0.weight").sizes(), at::IntArrayRef({4, 5 * 4 + 6}));
  EXPECT_EQ(weights.at("prediction.2.weight").sizes(), at::IntArrayRef({1, 4}));
}

/// The last layer starts small: a fresh network predicts near the mean label.
TEST(PaperNetwork, StartsNearTheMean) {
  MmraConfig config = testing::small_network_config(Variant::kPaper);
  config.width = 64;
  const bank::FeatureTable table = made_memory();
  const auto network = make_network(config, at::kDouble);
  const at::NoGradGuard no_grad;
  EXPECT_LT(
      network->forward(testing::made_batch(table, 12, 3, 2), nullptr).abs().max().item<double>(),
      1.0);
}

}  // namespace
}  // namespace mmra::model::neural
