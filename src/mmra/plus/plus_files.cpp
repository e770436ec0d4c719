#include "mmra/plus/plus_files.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mmra/core/error.h"
#include "mmra/core/safetensors.h"

namespace mmra::plus {
namespace {

constexpr char kFormat[] = "mmra-plus-2";

template <typename Value>
constexpr DataType type_of() {
  if constexpr (sizeof(Value) == 8 && std::is_floating_point_v<Value>) return DataType::kFloat64;
  if constexpr (sizeof(Value) == 4 && std::is_floating_point_v<Value>) return DataType::kFloat32;
  if constexpr (sizeof(Value) == 8) return DataType::kInt64;
  return DataType::kInt32;
}

/// Collects tensors; what it copies lives as long as it does.
class Writer {
 public:
  template <typename Value>
  void add(const std::string& name, const std::vector<Value>& values,
           std::vector<std::int64_t> shape = {}) {
    if (shape.empty()) shape = {static_cast<std::int64_t>(values.size())};
    tensors_.push_back(
        {name, type_of<Value>(), std::move(shape), std::as_bytes(std::span(values))});
  }
  void add(const std::string& name, const DenseRows& rows) {
    const std::size_t count = rows.dim == 0 ? 0 : rows.values.size() / rows.dim;
    add(name, rows.values, {static_cast<std::int64_t>(count), static_cast<std::int64_t>(rows.dim)});
  }
  void add(const std::string& name, const Tfidf& tfidf) {
    add(name + ".terms", tfidf.terms());
    add(name + ".idf", tfidf.idf());
  }
  void add(const std::string& name, const KeyStatistics& statistics) {
    std::vector<std::pair<TermHash, KeyStatistics::Sum>> sums(statistics.sums().begin(),
                                                              statistics.sums().end());
    std::sort(sums.begin(), sums.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    auto& hashes = hashes_.emplace_back();
    auto& labels = doubles_.emplace_back();
    auto& counts = counts_.emplace_back();
    for (const auto& [hash, sum] : sums) {
      hashes.push_back(hash);
      labels.push_back(sum.labels);
      counts.push_back(sum.count);
    }
    auto& all = doubles_.emplace_back();
    all = {statistics.shrinkage(), statistics.label_sum(),
           static_cast<double>(statistics.num_rows())};
    add(name + ".keys", hashes);
    add(name + ".labels", labels);
    add(name + ".counts", counts);
    add(name + ".all", all);
  }
  void write(const std::filesystem::path& file) const {
    write_safetensors(file, tensors_, {{"format", kFormat}});
  }

 private:
  std::vector<NamedTensor> tensors_;
  std::deque<std::vector<TermHash>> hashes_;
  std::deque<std::vector<double>> doubles_;
  std::deque<std::vector<std::int32_t>> counts_;
};

class Reader {
 public:
  explicit Reader(const std::filesystem::path& path) : origin_(path.string()), file_(path) {
    const auto format = file_.metadata().find("format");
    if (format == file_.metadata().end() || format->second != kFormat) {
      throw Error(ErrorKind::kCorruptData,
                  origin_ + " is not of the format " + kFormat + "; train the model again");
    }
  }

  [[noreturn]] void fail(const std::string& name, const std::string& what) const {
    throw Error(ErrorKind::kCorruptData,
                origin_ + ": the tensor " + name + " " + what + "; train the model again");
  }
  void require(bool holds, const std::string& name, const std::string& what) const {
    if (!holds) fail(name, what);
  }

  /// Of any length.
  template <typename Value>
  [[nodiscard]] std::vector<Value> list(const std::string& name) {
    const TensorView& tensor = take(name);
    require(tensor.type == type_of<Value>(), name,
            "has the type " + std::string(name_of(tensor.type)) + ", expected " +
                std::string(name_of(type_of<Value>())));
    require(tensor.shape.size() == 1, name, "must have one dimension");
    return copy<Value>(tensor);
  }
  /// Of `size` values.
  template <typename Value>
  [[nodiscard]] std::vector<Value> list(const std::string& name, std::size_t size) {
    std::vector<Value> values = list<Value>(name);
    require(values.size() == size, name,
            "has " + std::to_string(values.size()) + " values, expected " + std::to_string(size));
    return values;
  }
  [[nodiscard]] DenseRows rows(const std::string& name, std::size_t num_rows, std::size_t dim) {
    const TensorView& tensor = take(name);
    const std::int64_t height = dim == 0 ? 0 : static_cast<std::int64_t>(num_rows);
    const bool fits =
        tensor.type == DataType::kFloat32 &&
        tensor.shape == std::vector<std::int64_t>{height, static_cast<std::int64_t>(dim)};
    require(fits, name,
            "must be F32 [" + std::to_string(height) + ", " + std::to_string(dim) + "]");
    DenseRows rows{dim, copy<float>(tensor)};
    require_finite(rows.values, name);
    return rows;
  }
  template <typename Value>
  void require_finite(const std::vector<Value>& values, const std::string& name) const {
    const bool finite =
        std::all_of(values.begin(), values.end(), [](Value value) { return std::isfinite(value); });
    require(finite, name, "has a value that is not finite");
  }
  /// Throws where there is a tensor that nobody asked for.
  void expect_nothing_else() const {
    require(num_taken_ == file_.tensors().size(), file_.tensors().begin()->first,
            "or another one is not of this model: there are " +
                std::to_string(file_.tensors().size()) + " tensors, expected " +
                std::to_string(num_taken_));
  }

 private:
  const TensorView& take(const std::string& name) {
    const TensorView& tensor = file_.tensor(name);
    ++num_taken_;
    return tensor;
  }
  template <typename Value>
  static std::vector<Value> copy(const TensorView& tensor) {
    std::vector<Value> values(static_cast<std::size_t>(tensor.num_elements()));
    if (!values.empty()) std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
    return values;
  }

  std::string origin_;
  SafetensorsFile file_;
  std::size_t num_taken_ = 0;
};

template <typename Value>
bool is_ascending(const std::vector<Value>& values) {
  return std::adjacent_find(values.begin(), values.end(),
                            [](Value a, Value b) { return a >= b; }) == values.end();
}

Tfidf read_tfidf(Reader& reader, const std::string& name) {
  std::vector<TermHash> terms = reader.list<TermHash>(name + ".terms");
  std::vector<float> idf = reader.list<float>(name + ".idf", terms.size());
  reader.require(is_ascending(terms), name + ".terms", "is not in ascending order");
  reader.require_finite(idf, name + ".idf");
  return {std::move(terms), std::move(idf)};
}

KeyStatistics read_keys(Reader& reader, const std::string& name) {
  const auto hashes = reader.list<TermHash>(name + ".keys");
  const auto labels = reader.list<double>(name + ".labels", hashes.size());
  const auto counts = reader.list<std::int32_t>(name + ".counts", hashes.size());
  const auto all = reader.list<double>(name + ".all", 3);
  reader.require_finite(labels, name + ".labels");
  reader.require_finite(all, name + ".all");
  reader.require(is_ascending(hashes), name + ".keys", "is not in ascending order");
  reader.require(all[0] > 0.0 && all[2] >= 0.0 && all[2] < 1e15, name + ".all",
                 "has a shrinkage or a count that cannot be");
  std::unordered_map<TermHash, KeyStatistics::Sum> sums;
  for (std::size_t i = 0; i < hashes.size(); ++i) {
    reader.require(counts[i] > 0, name + ".counts", "has a count that is not above 0");
    sums[hashes[i]] = {labels[i], counts[i]};
  }
  return {all[0], all[1], static_cast<std::int64_t>(all[2]), std::move(sums)};
}

SparseRows read_lexical(Reader& reader, std::size_t num_rows, std::size_t num_columns) {
  SparseRows rows;
  rows.begin = reader.list<std::uint64_t>("train.lexical.begin", num_rows + 1);
  rows.columns = reader.list<std::uint32_t>("train.lexical.columns");
  rows.values = reader.list<float>("train.lexical.values", rows.columns.size());
  reader.require(rows.begin.front() == 0 && rows.begin.back() == rows.columns.size() &&
                     std::is_sorted(rows.begin.begin(), rows.begin.end()),
                 "train.lexical.begin", "does not divide the entries into rows");
  const bool inside = std::all_of(rows.columns.begin(), rows.columns.end(),
                                  [&](std::uint32_t column) { return column < num_columns; });
  reader.require(inside, "train.lexical.columns",
                 "names a column beyond the " + std::to_string(num_columns) + " terms");
  reader.require_finite(rows.values, "train.lexical.values");
  return rows;
}

VisualScale read_visual_scale(Reader& reader, std::size_t dim) {
  VisualScale scale;
  scale.origin = reader.list<float>("visual.origin", dim);
  scale.deviation = reader.list<float>("visual.deviation", dim);
  reader.require_finite(scale.origin, "visual.origin");
  reader.require_finite(scale.deviation, "visual.deviation");
  const bool above_zero = std::all_of(scale.deviation.begin(), scale.deviation.end(),
                                      [](float value) { return value > 0.0F; });
  reader.require(above_zero, "visual.deviation", "has a value that is not above 0");
  return scale;
}

std::string category_name(std::size_t index) { return "keys.category." + std::to_string(index); }

}  // namespace

void save_first_stage(const FirstStage& stage, const std::filesystem::path& file) {
  const RowVectors& rows = stage.train->rows();
  Writer writer;
  writer.add("lexical.words", stage.spaces.lexical.words);
  writer.add("lexical.characters", stage.spaces.lexical.characters);
  writer.add("visual.origin", stage.spaces.visual.origin);
  writer.add("visual.deviation", stage.spaces.visual.deviation);
  writer.add("train.lexical.begin", rows.lexical.begin);
  writer.add("train.lexical.columns", rows.lexical.columns);
  writer.add("train.lexical.values", rows.lexical.values);
  writer.add("train.retrieval", rows.retrieval);
  writer.add("train.visual", rows.visual);
  writer.add("ridge.coefficients", stage.ridge.coefficients);
  const std::vector<double> mean = {stage.ridge.mean};
  writer.add("ridge.mean", mean);
  writer.add("keys.hashtags", stage.hashtags);
  writer.add("keys.words", stage.words);
  writer.add("keys.pairs", stage.pairs);
  for (std::size_t i = 0; i < stage.categories.size(); ++i) {
    writer.add(category_name(i), stage.categories[i]);
  }
  writer.write(file);
}

FirstStage load_first_stage(const PlusConfig& config, const std::filesystem::path& file) {
  Reader reader(file);
  FirstStage stage;
  stage.spaces.lexical.words = read_tfidf(reader, "lexical.words");
  stage.spaces.lexical.characters = read_tfidf(reader, "lexical.characters");
  stage.spaces.retrieval_dim = static_cast<std::size_t>(config.retrieval_dim);
  const auto visual_dim = static_cast<std::size_t>(config.has_visual ? config.visual_dim : 0);
  stage.spaces.visual = read_visual_scale(reader, visual_dim);
  stage.ridge.coefficients = reader.list<float>("ridge.coefficients");
  reader.require_finite(stage.ridge.coefficients, "ridge.coefficients");
  stage.ridge.mean = reader.list<double>("ridge.mean", 1).front();
  reader.require(std::isfinite(stage.ridge.mean), "ridge.mean", "is not finite");

  // Without the kernel ridge no train row is needed.
  const std::size_t num_rows = stage.ridge.coefficients.size();
  const std::size_t num_columns = stage.spaces.lexical.num_columns();
  RowVectors rows;
  rows.lexical = read_lexical(reader, num_rows, num_columns);
  rows.retrieval = reader.rows("train.retrieval", num_rows, stage.spaces.retrieval_dim);
  rows.visual = reader.rows("train.visual", num_rows, visual_dim);
  stage.train = std::make_unique<SimilarityIndex>(std::move(rows), num_columns, config.kernel);

  stage.hashtags = read_keys(reader, "keys.hashtags");
  stage.words = read_keys(reader, "keys.words");
  stage.pairs = read_keys(reader, "keys.pairs");
  for (const UsedColumn& column : config.columns) {
    if (column.type != bank::ColumnType::kCategory) continue;
    stage.categories.push_back(read_keys(reader, category_name(stage.categories.size())));
  }
  reader.expect_nothing_else();
  return stage;
}

}  // namespace mmra::plus
