#include "mmra/plus/plus_config.h"

#include <nlohmann/json.hpp>
#include <set>

#include "mmra/bank/context_typer.h"
#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/model/config_file.h"
#include "mmra/model/strict_reader.h"

namespace mmra::plus {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormatVersion = 2;
constexpr char kModel[] = "mmra-plus";

template <typename Value>
void check(const char* field, Value value, Value low, Value high) {
  model::check_range(std::string("mmra-plus's ") + field, value, low, high);
}

/// The one list of the plain fields, for reading and writing alike.
template <typename Config, typename Visitor>
void visit_fields(Config& config, Visitor&& visit) {
  visit("retrieval_dim", config.retrieval_dim);
  visit("visual_dim", config.visual_dim);
  visit("k", config.k);
  visit("seed", config.seed);
  visit("num_folds", config.num_folds);
  visit("without_visual", config.without_visual);
  visit("without_text", config.without_text);
  visit("has_visual", config.has_visual);
  visit("lambda", config.lambda);
  visit("label_mean", config.label_mean);
}

template <typename Parts, typename Visitor>
void visit_parts(Parts& parts, Visitor&& visit) {
  visit("kernel", parts.kernel);
  visit("neighbours", parts.neighbours);
  visit("keys", parts.keys);
  visit("shape", parts.shape);
}

template <typename Kernel, typename Visitor>
void visit_kernel(Kernel& kernel, Visitor&& visit) {
  visit("lexical_weight", kernel.lexical_weight);
  visit("lexical_scale", kernel.lexical_scale);
  visit("dense_scale", kernel.dense_scale);
  visit("visual_scale", kernel.visual_scale);
}

template <typename Trees, typename Visitor>
void visit_trees(Trees& trees, Visitor&& visit) {
  visit("max_rounds", trees.max_rounds);
  visit("patience", trees.patience);
  visit("max_depth", trees.max_depth);
  visit("learning_rate", trees.learning_rate);
  visit("min_child_weight", trees.min_child_weight);
  visit("subsample", trees.subsample);
  visit("column_share", trees.column_share);
  visit("l2", trees.l2);
  visit("max_bins", trees.max_bins);
  visit("num_rounds", trees.num_rounds);
  visit("fingerprint", trees.fingerprint);
}

Json columns_to_json(const std::vector<UsedColumn>& columns) {
  Json list = Json::array();
  for (const UsedColumn& column : columns) {
    list.push_back({{"name", column.name}, {"type", bank::name_of(column.type)}});
  }
  return list;
}

std::vector<UsedColumn> columns_from_json(const Json& list, const std::string& origin) {
  if (!list.is_array()) {
    throw Error(ErrorKind::kCorruptData, origin + ": \"columns\" must be a list");
  }
  std::vector<UsedColumn> columns;
  for (const Json& item : list) {
    model::StrictReader reader(item, origin + ", \"columns\"");
    UsedColumn column;
    std::string type;
    reader.read("name", column.name);
    reader.read("type", type);
    reader.expect_nothing_else();
    if (type != "number" && type != "category") {
      reader.fail("has the type \"" + type + "\", it must be number or category");
    }
    column.type = type == "number" ? bank::ColumnType::kNumber : bank::ColumnType::kCategory;
    columns.push_back(std::move(column));
  }
  return columns;
}

}  // namespace

void validate_config(const PlusConfig& config) {
  constexpr int kMaxDim = 1 << 16;
  check("retrieval_dim", config.retrieval_dim, 0, kMaxDim);
  check("visual_dim", config.visual_dim, 0, kMaxDim);
  check("k", config.k, 1, 10000);
  check("num_folds", config.num_folds, 2, 100);
  check("lambda", config.lambda, 0.0, 1e6);
  check("label_mean", config.label_mean, -1e30, 1e30);
  check("kernel's lexical_weight", config.kernel.lexical_weight, 0.0, 1.0);
  check("kernel's lexical_scale", config.kernel.lexical_scale, 0.0, 1e3);
  check("kernel's dense_scale", config.kernel.dense_scale, 0.0, 1e3);
  check("kernel's visual_scale", config.kernel.visual_scale, 0.0, 1e3);
  check("trees' max_rounds", config.trees.max_rounds, 1, 100000);
  check("trees' patience", config.trees.patience, 1, 100000);
  check("trees' max_depth", config.trees.max_depth, 1, 16);
  check("trees' learning_rate", config.trees.learning_rate, 1e-6, 1.0);
  check("trees' min_child_weight", config.trees.min_child_weight, 0.0, 1e9);
  check("trees' subsample", config.trees.subsample, 0.01, 1.0);
  check("trees' column_share", config.trees.column_share, 0.01, 1.0);
  check("trees' l2", config.trees.l2, 0.0, 1e9);
  check("trees' max_bins", config.trees.max_bins, 2, 65536);
  check("trees' num_rounds", config.trees.num_rounds, 0, 100000);
  std::set<std::string> names;
  for (const UsedColumn& column : config.columns) {
    if (!names.insert(column.name).second) {
      throw Error(ErrorKind::kInvalidInput,
                  "the context column \"" + column.name + "\" is used twice; name it once");
    }
  }
  const bool sees_nothing = config.without_text && config.without_visual &&
                            config.retrieval_dim == 0 && config.columns.empty();
  if (sees_nothing) {
    throw Error(ErrorKind::kInvalidInput,
                "mmra-plus without text, visual and context has no input; leave one of them in");
  }
}

std::string config_to_json(const PlusConfig& config) {
  Json json;
  const auto writer_to = [](Json& target) {
    return [&target](const char* key, const auto& value) { target[key] = value; };
  };
  json["model"] = kModel;
  json["format_version"] = kFormatVersion;
  visit_fields(config, writer_to(json));
  visit_parts(config.parts, writer_to(json["parts"]));
  visit_kernel(config.kernel, writer_to(json["kernel"]));
  json["columns"] = columns_to_json(config.columns);
  visit_trees(config.trees, writer_to(json["trees"]));
  return json.dump(2) + "\n";
}

PlusConfig config_from_json(std::string_view text, const std::string& origin) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  model::StrictReader reader(json, origin);
  std::string name;
  reader.read("model", name);
  if (name != kModel) reader.fail("is of the model \"" + name + "\", expected " + kModel);
  model::expect_format_version(reader, kFormatVersion);
  PlusConfig config;
  const auto reader_of = [](model::StrictReader& source) {
    return [&source](const char* key, auto& value) { source.read(key, value); };
  };
  visit_fields(config, reader_of(reader));
  model::StrictReader parts(reader.take("parts"), origin + ", \"parts\"");
  visit_parts(config.parts, reader_of(parts));
  parts.expect_nothing_else();
  model::StrictReader kernel(reader.take("kernel"), origin + ", \"kernel\"");
  visit_kernel(config.kernel, reader_of(kernel));
  kernel.expect_nothing_else();
  config.columns = columns_from_json(reader.take("columns"), origin);
  model::StrictReader trees(reader.take("trees"), origin + ", \"trees\"");
  visit_trees(config.trees, reader_of(trees));
  trees.expect_nothing_else();
  reader.expect_nothing_else();
  return config;
}

void save_config(const PlusConfig& config, const std::filesystem::path& file) {
  write_file_atomically(file, config_to_json(config));
}

PlusConfig load_config(const std::filesystem::path& file) {
  return model::load_checked(file, config_from_json);
}

}  // namespace mmra::plus
