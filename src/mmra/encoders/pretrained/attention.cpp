#include "mmra/encoders/pretrained/attention.h"

#include <dnnl.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>

#include "mmra/core/error.h"
#include "mmra/encoders/pretrained/bfloat16_attention.h"
#include "mmra/encoders/pretrained/parallel_rows.h"
#include "mmra/encoders/pretrained/row_kernels.h"

namespace mmra::encoders {
namespace {

// Queries of one head at a time: their scores (96 × 577 floats of BLIP's 577 tokens, 216 KiB) stay
// in a core's own cache until they have been used.
constexpr std::int64_t kQueryBlock = 96;
// In bfloat16 a tile of queries is done from scores to output, and keys and values are packed once
// for a block: a large one, still several for a long sequence's threads.
constexpr std::int64_t kBFloat16QueryBlock = 384;
// Below this many queries (a decoder's step) a matrix product costs more to begin than to do.
constexpr std::int64_t kFewQueries = 4;

/// A block of queries of one head of one sequence.
template <typename T>
struct BasicTask {
  const BasicAttentionSequence<T>* sequence = nullptr;
  std::int64_t head = 0;
  std::int64_t first_query = 0;
  std::int64_t num_queries = 0;
};
using Task = BasicTask<float>;
using BFloat16Task = BasicTask<std::uint16_t>;

template <typename T>
std::vector<BasicTask<T>> tasks_of(std::span<const BasicAttentionSequence<T>> sequences,
                                   int num_heads, std::int64_t block) {
  std::vector<BasicTask<T>> tasks;
  for (const BasicAttentionSequence<T>& sequence : sequences) {
    for (std::int64_t head = 0; head < num_heads; ++head) {
      for (std::int64_t q = 0; q < sequence.queries.rows; q += block) {
        tasks.push_back({&sequence, head, q, std::min(block, sequence.queries.rows - q)});
      }
    }
  }
  return tasks;
}

/// How many keys query `index` of the sequence sees.
template <typename T>
std::int64_t num_visible(const BasicAttentionSequence<T>& sequence, std::int64_t index) {
  if (!sequence.is_causal) return sequence.keys.rows;
  return sequence.keys.rows - sequence.queries.rows + index + 1;
}

/// A task's rows, cut to its head's columns.
template <typename T>
struct BasicHead {
  BasicRows<const T> queries;
  BasicRows<const T> keys;
  BasicRows<const T> values;
  BasicRows<T> output;
};
using Head = BasicHead<float>;

template <typename T>
BasicHead<T> head_of(const BasicTask<T>& task, std::int64_t head_dim) {
  const BasicAttentionSequence<T>& s = *task.sequence;
  const std::int64_t column = task.head * head_dim;
  return {s.queries.slice(task.first_query, task.num_queries).columns(column, head_dim),
          s.keys.columns(column, head_dim), s.values.columns(column, head_dim),
          s.output.slice(task.first_query, task.num_queries).columns(column, head_dim)};
}

/// Softmax over what each query sees; the rest becomes zero.
void normalise(const Task& task, float scale, float* scores, std::int64_t num_keys) {
  for (std::int64_t i = 0; i < task.num_queries; ++i) {
    float* row = scores + i * num_keys;
    const std::int64_t visible = num_visible(*task.sequence, task.first_query + i);
    softmax_row(row, scale, visible);
    std::fill(row + visible, row + num_keys, 0.0F);
  }
}

void attend_few(const Task& task, const Head& head, float scale, float* scores) {
  for (std::int64_t i = 0; i < task.num_queries; ++i) {
    const std::int64_t visible = num_visible(*task.sequence, task.first_query + i);
    for (std::int64_t j = 0; j < visible; ++j) {
      scores[j] = dot(head.queries.row(i), head.keys.row(j), head.keys.cols);
    }
    softmax_row(scores, scale, visible);
    float* output = head.output.row(i);
    std::fill_n(output, head.output.cols, 0.0F);
    for (std::int64_t j = 0; j < visible; ++j) {
      add_scaled(output, head.values.row(j), scores[j], head.values.cols);
    }
  }
}

/// False where oneDNN refused.
bool attend_many(const Task& task, const Head& head, float scale, float* scores) {
  const std::int64_t num_keys = head.keys.rows;
  const std::int64_t head_dim = head.keys.cols;
  if (dnnl_sgemm('N', 'T', task.num_queries, num_keys, head_dim, 1.0F, head.queries.data,
                 head.queries.stride, head.keys.data, head.keys.stride, 0.0F, scores,
                 num_keys) != dnnl_success) {
    return false;
  }
  normalise(task, scale, scores, num_keys);
  return dnnl_sgemm('N', 'N', task.num_queries, head_dim, num_keys, 1.0F, scores, num_keys,
                    head.values.data, head.values.stride, 0.0F, head.output.data,
                    head.output.stride) == dnnl_success;
}

/// Calls body(task, rows, scratch) for each head and block of queries, on all threads. Each
/// thread's scratch, of scratch_of(sequence) floats, is made before they start: they must not
/// throw.
template <typename T, typename ScratchOf, typename Body>
void for_each_task(std::span<const BasicAttentionSequence<T>> sequences, int num_heads,
                   std::int64_t block, Workspace& workspace, const ScratchOf& scratch_of,
                   const Body& body) {
  if (sequences.empty()) return;
  const std::int64_t head_dim = sequences.front().queries.cols / num_heads;
  std::size_t size = 0;
  for (const BasicAttentionSequence<T>& s : sequences)
    size = std::max(size, scratch_of(s, head_dim));
  const auto threads = static_cast<std::size_t>(parallel_threads());
  if (workspace.attention.size() < threads) workspace.attention.resize(threads);
  for (auto& scratch : workspace.attention) {
    if (scratch.size() < size) scratch.resize(size);
  }
  const std::vector<BasicTask<T>> tasks = tasks_of(sequences, num_heads, block);
  parallel_rows(static_cast<std::int64_t>(tasks.size()), 1, [&](std::int64_t index, int thread) {
    const BasicTask<T>& task = tasks[static_cast<std::size_t>(index)];
    body(task, head_of(task, head_dim),
         workspace.attention[static_cast<std::size_t>(thread)].data());
  });
}

float scale_of(std::int64_t head_dim) { return 1.0F / std::sqrt(static_cast<float>(head_dim)); }

}  // namespace

void attend(std::span<const AttentionSequence> sequences, int num_heads, Workspace& workspace) {
  std::atomic<bool> failed = false;
  for_each_task(
      sequences, num_heads, kQueryBlock, workspace,
      [](const AttentionSequence& s, std::int64_t) {
        return static_cast<std::size_t>(std::min(kQueryBlock, s.queries.rows) * s.keys.rows);
      },
      [&](const Task& task, const Head& head, float* scores) {
        const float scale = scale_of(head.keys.cols);
        if (task.sequence->queries.rows <= kFewQueries) {
          attend_few(task, head, scale, scores);
        } else if (!attend_many(task, head, scale, scores)) {
          failed = true;
        }
      });
  if (failed) throw Error(ErrorKind::kInternal, "oneDNN's matrix product failed in attention");
}

void attend(std::span<const BFloat16AttentionSequence> sequences, int num_heads,
            Workspace& workspace) {
  for_each_task(
      sequences, num_heads, kBFloat16QueryBlock, workspace,
      [](const BFloat16AttentionSequence& s, std::int64_t head_dim) {
        return attend_head_scratch(s.keys.rows, head_dim);
      },
      [](const BFloat16Task& task, const BasicHead<std::uint16_t>& head, float* scratch) {
        const BFloat16AttentionSequence& s = *task.sequence;
        attend_head({head.queries, head.keys, head.values, head.output,
                     num_visible(s, task.first_query), s.is_causal ? 1 : 0},
                    scale_of(head.keys.cols), scratch);
      });
}

KeyValueCache::KeyValueCache(std::int64_t num_sequences, std::int64_t max_tokens,
                             std::int64_t hidden)
    : num_sequences_(num_sequences),
      max_tokens_(max_tokens),
      hidden_(hidden),
      keys_(static_cast<std::size_t>(num_sequences * max_tokens * hidden)),
      values_(keys_.size()) {}

void KeyValueCache::append(ConstRows keys, ConstRows values) {
  const std::int64_t num_new = num_sequences_ == 0 ? 0 : keys.rows / num_sequences_;
  if (keys.rows != values.rows || keys.rows != num_new * num_sequences_ ||
      num_tokens_ + num_new > max_tokens_) {
    throw Error(ErrorKind::kInternal, std::to_string(keys.rows) + " keys do not fit a cache of " +
                                          std::to_string(num_sequences_) + " sequences with " +
                                          std::to_string(num_tokens_) + " of " +
                                          std::to_string(max_tokens_) + " tokens");
  }
  for (std::int64_t i = 0; i < keys.rows; ++i) {
    const std::int64_t token = (i / num_new) * max_tokens_ + num_tokens_ + i % num_new;
    std::copy_n(keys.row(i), hidden_, keys_.data() + token * hidden_);
    std::copy_n(values.row(i), hidden_, values_.data() + token * hidden_);
  }
  num_tokens_ += num_new;
}

void KeyValueCache::reorder(std::span<const std::int32_t> sources) {
  const std::int64_t sequence_size = max_tokens_ * hidden_;
  std::vector<float> keys(sources.size() * static_cast<std::size_t>(sequence_size));
  std::vector<float> values(keys.size());
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const std::int64_t from = sources[i] * sequence_size;
    const auto to = static_cast<std::int64_t>(i) * sequence_size;
    std::copy_n(keys_.data() + from, num_tokens_ * hidden_, keys.data() + to);
    std::copy_n(values_.data() + from, num_tokens_ * hidden_, values.data() + to);
  }
  keys_ = std::move(keys);
  values_ = std::move(values);
  num_sequences_ = static_cast<std::int64_t>(sources.size());
}

ConstRows KeyValueCache::keys(std::int64_t sequence) const {
  return {keys_.data() + sequence * max_tokens_ * hidden_, num_tokens_, hidden_, hidden_};
}

ConstRows KeyValueCache::values(std::int64_t sequence) const {
  return {values_.data() + sequence * max_tokens_ * hidden_, num_tokens_, hidden_, hidden_};
}

}  // namespace mmra::encoders
