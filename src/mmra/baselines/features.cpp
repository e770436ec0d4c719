#include "mmra/baselines/features.h"

#include <algorithm>
#include <limits>
#include <string>

#include "mmra/core/error.h"
#include "mmra/core/float16.h"

namespace mmra::baselines {
namespace {

constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

void check_table(const bank::FeatureTable& table, const BaselineConfig& config) {
  if (table.visual_dim() == config.visual_dim && table.text_dim() == config.text_dim) return;
  throw Error(ErrorKind::kInvalidInput,
              "features of " + std::to_string(table.visual_dim()) + " visual and " +
                  std::to_string(table.text_dim()) + " text dimensions, the model was made for " +
                  std::to_string(config.visual_dim) + " and " + std::to_string(config.text_dim));
}

void write_frames(const bank::TokenView& frames, std::span<float> out) {
  const std::size_t count = std::min(out.size(), frames.values.size());
  halves_to_floats(frames.values.first(count), out.first(count));
}

void write_mean(const bank::TokenView& tokens, std::span<float> out) {
  if (tokens.num_tokens == 0) return;
  std::fill(out.begin(), out.end(), 0.0F);
  std::vector<float> token(out.size());
  for (std::size_t begin = 0; begin < tokens.values.size(); begin += out.size()) {
    halves_to_floats(tokens.values.subspan(begin, out.size()), token);
    for (std::size_t i = 0; i < out.size(); ++i) out[i] += token[i];
  }
  for (float& value : out) value /= static_cast<float>(tokens.num_tokens);
}

}  // namespace

FeatureMatrix flattened_features(const model::Batch& batch, const BaselineConfig& config,
                                 int num_frames) {
  check_table(*batch.queries, config);
  const std::size_t visual =
      config.without_visual
          ? 0
          : static_cast<std::size_t>(num_frames) * static_cast<std::size_t>(config.visual_dim);
  const std::size_t text = config.without_text ? 0 : static_cast<std::size_t>(config.text_dim);
  FeatureMatrix matrix{batch.query_rows.size(), visual + text, {}};
  if (matrix.width == 0) {
    throw Error(ErrorKind::kInvalidInput,
                std::string(name_of(config.kind)) +
                    " has no features: the bank has neither frames nor titles that it may use");
  }
  matrix.values.assign(matrix.num_rows * matrix.width, kMissing);
  for (std::size_t i = 0; i < matrix.num_rows; ++i) {
    const auto row = static_cast<std::size_t>(batch.query_rows[i]);
    write_frames(batch.queries->visual_tokens(row), matrix.row(i).first(visual));
    if (text > 0) write_mean(batch.queries->text_tokens(row), matrix.row(i).subspan(visual));
  }
  return matrix;
}

std::size_t pooled_width(const BaselineConfig& config) {
  const int visual = config.without_visual ? 0 : config.visual_dim;
  const int text = config.without_text ? 0 : config.text_dim;
  return static_cast<std::size_t>(visual) + static_cast<std::size_t>(text);
}

FeatureMatrix pooled_features(const model::Batch& batch, const BaselineConfig& config) {
  return flattened_features(batch, config, /*num_frames=*/1);
}

int most_frames(const model::Batch& batch) {
  int most = 0;
  for (const std::int32_t row : batch.query_rows) {
    most = std::max(most, batch.queries->visual_tokens(static_cast<std::size_t>(row)).num_tokens);
  }
  return most;
}

}  // namespace mmra::baselines
