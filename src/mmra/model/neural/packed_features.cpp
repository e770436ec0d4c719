#include "mmra/model/neural/packed_features.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <unordered_map>

#include "mmra/model/neural/bfloat16_rows.h"
#include "mmra/model/neural/linear.h"

namespace mmra::model::neural {
namespace {

using bank::FeatureTable;
using bank::TokenView;

/// Where each item's tokens begin in the packed features; one more than there are items.
std::vector<std::int64_t> token_begins(std::span<const TokenView> views) {
  std::vector<std::int64_t> begin{0};
  for (const TokenView& view : views) begin.push_back(begin.back() + view.num_tokens);
  return begin;
}

/// Float16 to bfloat16, piece by piece.
void halves_to_bfloat16(std::span<const Float16Bits> from, BFloat16Bits* to) {
  std::array<float, 1024> piece;
  for (std::size_t i = 0; i < from.size(); i += piece.size()) {
    const auto halves = from.subspan(i, std::min(piece.size(), from.size() - i));
    halves_to_floats(halves, {piece.data(), halves.size()});
    round_to_bfloat16(piece.data(), to + i, static_cast<std::int64_t>(halves.size()));
  }
}

/// Float16 to [tokens × dim] of bfloat16 or float, without padding.
at::Tensor unpack(std::span<const TokenView> views, std::span<const std::int64_t> begin, int dim,
                  bool as_bfloat16) {
  const std::int64_t num_tokens = begin.back() - begin.front();
  at::Tensor features =
      as_bfloat16 ? bfloat16_rows(num_tokens, dim) : at::empty({num_tokens, dim}, at::kFloat);
  auto* floats = as_bfloat16 ? nullptr : features.data_ptr<float>();
  auto* bits =
      as_bfloat16 ? reinterpret_cast<BFloat16Bits*>(features.data_ptr<at::BFloat16>()) : nullptr;
  // Small gathers stay on one thread.
  const std::int64_t work = 1 + features.numel() / static_cast<std::int64_t>(views.size() + 1);
  at::parallel_for(0, static_cast<std::int64_t>(views.size()), at::internal::GRAIN_SIZE / work + 1,
                   [&](std::int64_t first, std::int64_t last) {
                     for (std::int64_t i = first; i < last; ++i) {
                       const auto values = views[i].values;
                       const std::int64_t first_value = (begin[i] - begin[0]) * dim;
                       if (as_bfloat16) {
                         halves_to_bfloat16(values, bits + first_value);
                       } else {
                         halves_to_floats(values, {floats + first_value, values.size()});
                       }
                     }
                   });
  return features;
}

/// Draws, token by token, which stay; the first of an item always does.
class TokenKeeper {
 public:
  TokenKeeper(const TokenDropout& dropout, std::int64_t num_tokens) {
    if (!dropout.draws || dropout.rate == 0.0) return;
    keep_ = at::empty({num_tokens}, at::kFloat);
    draw_kept(keep_, 1.0 - dropout.rate, 1.0, dropout.draws.generator());
    next_ = keep_.data_ptr<float>();
  }
  bool keeps(int position) {
    if (next_ == nullptr) return true;
    return *next_++ != 0.0F || position == 0;
  }

 private:
  at::Tensor keep_;
  const float* next_ = nullptr;
};

at::Tensor to_tensor(const std::vector<std::int64_t>& values) {
  return at::tensor(at::ArrayRef<std::int64_t>(values), at::kLong);
}

void place_queries(std::span<const TokenView> queries, std::span<const std::int64_t> begin,
                   const TokenDropout& token_dropout, PackedFeatures& out) {
  std::vector<std::int64_t> slots;
  std::vector<std::int64_t> begins{0};
  bool as_they_are = true;
  TokenKeeper keeper(token_dropout, out.num_query_tokens);
  for (std::size_t b = 0; b < queries.size(); ++b) {
    for (int p = 0; p < queries[b].num_tokens; ++p) {
      if (keeper.keeps(p)) {
        slots.push_back(begin[b] + p);
      } else {
        as_they_are = false;
      }
    }
    if (queries[b].num_tokens == 0) {
      slots.push_back(out.num_query_tokens);
      as_they_are = false;
    }
    begins.push_back(static_cast<std::int64_t>(slots.size()));
  }
  if (!as_they_are) out.query_slots = to_tensor(slots);
  out.query_begin = to_tensor(begins);
}

/// One query's instances: their tokens, where those begin, and their weights.
struct Neighbour {
  std::int64_t begin = 0;
  int num_tokens = 0;
  double weight = 0.0;
  std::vector<char> keep;

  [[nodiscard]] bool has(int position) const {
    return position < num_tokens && keep[static_cast<std::size_t>(position)] != 0;
  }
};

void aggregate_query(std::span<const Neighbour> neighbours, WeightedRows& rows) {
  int length = 0;
  for (const Neighbour& n : neighbours) length = std::max(length, n.num_tokens);
  for (int p = 0; p < length; ++p) {
    double sum = 0.0;
    int count = 0;
    for (const Neighbour& n : neighbours) {
      if (!n.has(p)) continue;
      sum += n.weight;
      ++count;
    }
    if (count == 0) continue;  // all left out
    for (const Neighbour& n : neighbours) {
      if (!n.has(p)) continue;
      // Weights that all underflowed beside a far more similar instance (without this position)
      // share.
      rows.add(n.begin + p, sum > 0.0 ? n.weight / sum : 1.0 / count);
    }
    rows.end_row();
  }
}

/// Of the best of a query's instances.
enum class Has { kTokens, kInstances, kNothing };
std::vector<Has> what_queries_have(std::span<const TokenView> instances,
                                   std::span<const std::int32_t> slots, std::int64_t k) {
  std::vector<Has> has;
  for (std::size_t first = 0; first < slots.size(); first += static_cast<std::size_t>(k)) {
    has.push_back(Has::kNothing);
    for (const std::int32_t slot : slots.subspan(first, static_cast<std::size_t>(k))) {
      if (slot < 0) continue;
      if (has.back() == Has::kNothing) has.back() = Has::kInstances;
      if (instances[slot].num_tokens > 0) has.back() = Has::kTokens;
    }
  }
  return has;
}

void aggregate_instances(std::span<const TokenView> instances, std::span<const std::int64_t> begin,
                         std::span<const std::int32_t> slots, std::span<const double> weights,
                         std::int64_t num_queries, const TokenDropout& token_dropout,
                         PackedFeatures& out) {
  const auto k = static_cast<std::int64_t>(slots.size()) / num_queries;
  std::int64_t num_drawn = 0;
  for (const std::int32_t slot : slots) num_drawn += slot < 0 ? 0 : instances[slot].num_tokens;
  TokenKeeper keeper(token_dropout, num_drawn);

  const std::vector<Has> has = what_queries_have(instances, slots, k);
  out.has_stand_ins =
      std::any_of(has.begin(), has.end(), [](Has each) { return each != Has::kTokens; });
  const std::int64_t num_tokens = begin.back() - begin.front();
  out.aggregate = WeightedRows(num_tokens + (out.has_stand_ins ? 2 : 0));
  std::vector<std::int64_t> begins{0};
  for (std::int64_t b = 0; b < num_queries; ++b) {
    std::vector<Neighbour> neighbours;
    for (std::int64_t j = b * k; j < (b + 1) * k; ++j) {
      if (slots[j] < 0 || instances[slots[j]].num_tokens == 0) continue;
      const TokenView& view = instances[slots[j]];
      Neighbour neighbour{begin[slots[j]] - begin.front(), view.num_tokens, weights[j], {}};
      for (int p = 0; p < view.num_tokens; ++p) {
        neighbour.keep.push_back(keeper.keeps(p) ? 1 : 0);
      }
      neighbours.push_back(std::move(neighbour));
    }
    aggregate_query(neighbours, out.aggregate);
    if (neighbours.empty()) {
      out.aggregate.add(num_tokens + (has[static_cast<std::size_t>(b)] == Has::kNothing ? 1 : 0),
                        1.0);
      out.aggregate.end_row();
    }
    begins.push_back(out.aggregate.num_rows());
  }
  out.aggregate_begin = to_tensor(begins);
}

}  // namespace

TokenView tokens_of(const FeatureTable& table, std::size_t row, Modality modality) {
  return modality == Modality::kVisual ? table.visual_tokens(row) : table.text_tokens(row);
}

DistinctRows distinct_rows(std::span<const std::int32_t> instance_rows) {
  DistinctRows distinct;
  std::unordered_map<std::int32_t, std::int32_t> slot_of;
  distinct.slots.reserve(instance_rows.size());
  for (const std::int32_t row : instance_rows) {
    if (row < 0) {
      distinct.slots.push_back(-1);
      continue;
    }
    const auto [found, added] =
        slot_of.emplace(row, static_cast<std::int32_t>(distinct.rows.size()));
    if (added) distinct.rows.push_back(row);
    distinct.slots.push_back(found->second);
  }
  return distinct;
}

PackedFeatures pack_features(const Batch& batch, const DistinctRows& instances,
                             std::span<const double> weights, Modality modality,
                             at::ScalarType dtype, const TokenDropout& token_dropout) {
  std::vector<TokenView> views;
  for (const std::int32_t row : batch.query_rows) {
    views.push_back(tokens_of(*batch.queries, row, modality));
  }
  const std::size_t num_queries = views.size();
  for (const std::int32_t row : instances.rows) {
    views.push_back(tokens_of(*batch.memory, row, modality));
  }
  const std::vector<std::int64_t> begin = token_begins(views);
  const int dim =
      modality == Modality::kVisual ? batch.queries->visual_dim() : batch.queries->text_dim();

  PackedFeatures out;
  const auto unpack_items = [&](std::size_t first, std::size_t count) {
    return unpack(std::span(views).subspan(first, count),
                  std::span(begin).subspan(first, count + 1), dim, dtype == at::kBFloat16)
        .to(dtype);
  };
  out.features = unpack_items(0, num_queries);
  if (!instances.slots.empty()) {
    out.instance_features = unpack_items(num_queries, instances.rows.size());
  }
  out.num_query_tokens = begin[num_queries];
  const std::span all(views);
  place_queries(all.first(num_queries), begin, token_dropout, out);
  if (!instances.slots.empty()) {
    aggregate_instances(all.subspan(num_queries), std::span(begin).subspan(num_queries),
                        instances.slots, weights, static_cast<std::int64_t>(num_queries),
                        token_dropout, out);
  }
  return out;
}

AggregatedFeatures aggregate_features(const Batch& batch, const DistinctRows& instances,
                                      std::span<const double> weights, Modality modality,
                                      at::ScalarType dtype) {
  const std::int64_t dim =
      modality == Modality::kVisual ? batch.memory->visual_dim() : batch.memory->text_dim();
  std::vector<TokenView> views;
  std::vector<const Float16Bits*> tokens;
  for (const std::int32_t row : instances.rows) {
    views.push_back(tokens_of(*batch.memory, row, modality));
    for (int p = 0; p < views.back().num_tokens; ++p) {
      tokens.push_back(views.back().values.data() + p * dim);
    }
  }
  PackedFeatures packed;
  aggregate_instances(views, token_begins(views), instances.slots, weights,
                      static_cast<std::int64_t>(batch.query_rows.size()), {}, packed);
  const std::vector<Float16Bits> zeros(static_cast<std::size_t>(dim), 0);
  if (packed.has_stand_ins) tokens.insert(tokens.end(), 2, zeros.data());

  AggregatedFeatures out;
  out.values = packed.aggregate.times_halves(tokens, dim, dtype);
  out.begin = packed.aggregate_begin;
  if (!packed.has_stand_ins) return out;
  out.missing = at::zeros({packed.aggregate.num_rows(), 1}, dtype);
  const std::vector<Has> has = what_queries_have(views, instances.slots, batch.k);
  const auto* begin = out.begin.data_ptr<std::int64_t>();
  for (std::size_t b = 0; b < has.size(); ++b) {
    if (has[b] != Has::kTokens) out.missing[begin[b]] = 1.0;
  }
  return out;
}

Padded pad(const at::Tensor& rows, const at::Tensor& begin) {
  const at::Tensor lengths = begin.slice(0, 1) - begin.slice(0, 0, -1);
  const auto longest = lengths.max().item<std::int64_t>();
  if (longest * lengths.size(0) == rows.size(0)) {  // nothing to be padded
    return {rows.view({lengths.size(0), longest, rows.size(1)}),
            at::ones({lengths.size(0), longest}, at::kBool), true};
  }
  const at::Tensor positions = at::arange(longest);
  const at::Tensor mask = positions.unsqueeze(0).lt(lengths.unsqueeze(1));
  const at::Tensor slots =
      at::where(mask, begin.slice(0, 0, -1).unsqueeze(1) + positions, rows.size(0));
  const at::Tensor behind = at::zeros({1, rows.size(1)}, rows.options().requires_grad(false));
  return {at::cat({rows, behind})
              .index_select(0, slots.flatten())
              .view({slots.size(0), slots.size(1), rows.size(1)}),
          mask, false};
}

AggregatedLabels aggregate_labels(const Batch& batch, std::span<const double> weights,
                                  double label_mean, double label_std, at::ScalarType dtype) {
  const auto num_queries = static_cast<std::int64_t>(batch.query_rows.size());
  at::Tensor values = at::zeros({num_queries}, at::kDouble);
  AggregatedLabels out{{}, at::zeros({num_queries}, at::kBool), false};
  for (std::int64_t b = 0; b < num_queries; ++b) {
    double sum = 0.0;
    double total = 0.0;
    for (std::int64_t j = b * batch.k; j < (b + 1) * batch.k; ++j) {
      const std::int32_t row = batch.instance_rows[j];
      if (row < 0 || std::isnan(batch.memory->log2_popularity(row))) continue;
      const double label = batch.memory->log2_popularity(row);
      sum += weights[j] * (label - label_mean) / label_std;
      total += weights[j];
    }
    if (total > 0.0) {
      values[b] = sum / total;
    } else {
      out.missing[b] = true;
      out.any_missing = true;
    }
  }
  out.values = values.to(dtype);
  return out;
}

}  // namespace mmra::model::neural
