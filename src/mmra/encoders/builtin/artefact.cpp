#include "mmra/encoders/builtin/artefact.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>

#include "mmra/core/error.h"
#include "mmra/core/files.h"
#include "mmra/core/fingerprint.h"
#include "mmra/encoders/builtin/caption_vector.h"
#include "mmra/encoders/builtin/visual_encoder.h"

namespace mmra::encoders {
namespace {

using Json = nlohmann::json;

constexpr char kDescriptionFile[] = "encoders.json";
constexpr char kTensorFile[] = "builtin.safetensors";

[[noreturn]] void corrupt(const std::filesystem::path& file, const std::string& what) {
  throw Error(ErrorKind::kCorruptData,
              file.string() + " " + what + "; fit the encoders again or restore the file");
}

std::string to_hex(std::uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(value));
  return text;
}

/// Everything but the fingerprint, which is of this.
Json describe(std::int64_t num_titles, float token_scale, std::uintmax_t num_bytes,
              const std::string& checksum) {
  return {{"kind", "builtin"},
          {"version", kBuiltinVersion},
          {"visual_dim", kVisualDim},
          {"text_dim", kTextDim},
          {"retrieval_dim", kTitleVectorDim + kCaptionVectorDim},
          {"num_titles", num_titles},
          {"token_scale", token_scale},
          {"file", {{"name", kTensorFile}, {"bytes", num_bytes}, {"xxh3_64", checksum}}}};
}

/// The description at `path`, whose every value is then known to be what was written.
Json read_description(const std::filesystem::path& path, std::string& fingerprint_out) {
  const Json description = Json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  if (!description.is_object()) corrupt(path, "is not a JSON object (truncated?)");
  const auto kind = description.find("kind");
  const auto version = description.find("version");
  if (kind == description.end() || !kind->is_string()) corrupt(path, "does not say its kind");
  if (*kind != "builtin") {
    throw Error(ErrorKind::kUnsupported, path.string() + " describes encoders of the kind \"" +
                                             kind->get<std::string>() +
                                             "\", this reader knows \"builtin\"");
  }
  if (version == description.end() || !version->is_number_integer()) {
    corrupt(path, "does not say its version");
  }
  if (*version != kBuiltinVersion) {
    throw Error(ErrorKind::kUnsupported, path.string() + " is of version " + version->dump() +
                                             ", this build reads version " +
                                             std::to_string(kBuiltinVersion) +
                                             "; use the build that made it");
  }
  Json content = description;
  content.erase("fingerprint");
  fingerprint_out = fingerprint(content.dump());
  const auto stored = description.find("fingerprint");
  if (stored == description.end() || *stored != fingerprint_out) {
    corrupt(path, "has the fingerprint " +
                      (stored == description.end() ? std::string("(none)") : stored->dump()) +
                      ", its content has \"" + fingerprint_out + "\"");
  }
  return content;
}

/// A tensor in place, without a copy. Throws where type or shape is another, or it is not aligned.
template <typename Element>
std::span<const Element> tensor_of(const SafetensorsFile& file, const std::filesystem::path& path,
                                   const std::string& name, DataType type,
                                   std::vector<std::int64_t> shape) {
  const TensorView& view = file.tensor(name);
  // −1 in `shape` takes any number of rows.
  if (!shape.empty() && shape[0] < 0 && !view.shape.empty()) shape[0] = view.shape[0];
  if (view.type != type || view.shape != shape) {
    corrupt(path, "has the tensor \"" + name + "\" of type " + std::string(name_of(view.type)) +
                      " and shape " + Json(view.shape).dump() + ", expected " +
                      std::string(name_of(type)) + " and shape " + Json(shape).dump());
  }
  if (reinterpret_cast<std::uintptr_t>(view.bytes.data()) % alignof(Element) != 0) {
    corrupt(path, "has the tensor \"" + name + "\" at an unaligned place");
  }
  return {reinterpret_cast<const Element*>(view.bytes.data()),
          static_cast<std::size_t>(view.num_elements())};
}

void check_rows(const std::filesystem::path& path, const std::string& name,
                std::span<const std::int32_t> rows, std::size_t num_rows) {
  const auto bad = std::find_if(rows.begin(), rows.end(), [&](std::int32_t row) {
    return row < -1 || row >= static_cast<std::int64_t>(num_rows);
  });
  if (bad != rows.end()) {
    corrupt(path, "has the row " + std::to_string(*bad) + " in \"" + name + "\", the basis has " +
                      std::to_string(num_rows) + " rows");
  }
}

TextModel model_in(const SafetensorsFile& file, const std::filesystem::path& path) {
  TextModel model;
  model.hashes = tensor_of<TermHash>(file, path, "hashes", DataType::kInt64, {-1});
  const auto num_terms = static_cast<std::int64_t>(model.hashes.size());
  const auto integers = [&](const char* name) {
    return tensor_of<std::int32_t>(file, path, name, DataType::kInt32, {num_terms});
  };
  model.title_counts = integers("title_counts");
  model.token_rows = integers("token_rows");
  model.retrieval_rows = integers("retrieval_rows");
  model.token_basis =
      tensor_of<Float16Bits>(file, path, "token_basis", DataType::kFloat16, {-1, kTokenBasisDim});
  model.retrieval_basis = tensor_of<Float16Bits>(file, path, "retrieval_basis", DataType::kFloat16,
                                                 {-1, kRetrievalBasisDim});
  model.hashed_basis = tensor_of<float>(file, path, "hashed_basis", DataType::kFloat32,
                                        {kRetrievalBasisDim, kRetrievalHashDim});
  const auto not_rising = std::adjacent_find(model.hashes.begin(), model.hashes.end(),
                                             [](TermHash a, TermHash b) { return a >= b; });
  if (not_rising != model.hashes.end()) corrupt(path, "has terms that are not sorted");
  check_rows(path, "token_rows", model.token_rows, model.token_basis.size() / kTokenBasisDim);
  check_rows(path, "retrieval_rows", model.retrieval_rows,
             model.retrieval_basis.size() / kRetrievalBasisDim);
  return model;
}

/// Size and checksum against the description.
void check_tensor_file(const std::filesystem::path& path, const Json& expected) {
  const MappedFile file(path);
  const Json found_bytes = file.bytes().size();
  if (expected.at("bytes") != found_bytes) {
    corrupt(path, "has " + found_bytes.dump() + " bytes, expected " + expected.at("bytes").dump());
  }
  const std::string checksum = to_hex(checksum64(file.bytes()));
  if (expected.at("xxh3_64") != checksum) {
    corrupt(path, "has the checksum " + checksum + ", expected " +
                      expected.at("xxh3_64").get<std::string>());
  }
}

template <typename Element>
NamedTensor tensor(const char* name, DataType type, std::vector<std::int64_t> shape,
                   const std::vector<Element>& values) {
  return {name, type, std::move(shape), std::as_bytes(std::span(values))};
}

}  // namespace

BuiltinArtefact::BuiltinArtefact(const std::filesystem::path& directory) {
  const Json description = read_description(directory / kDescriptionFile, fingerprint_);
  const std::filesystem::path path = directory / kTensorFile;
  try {
    check_tensor_file(path, description.at("file"));
    file_ = std::make_unique<SafetensorsFile>(path);
    model_ = model_in(*file_, path);
    model_.num_titles = description.at("num_titles").get<std::int64_t>();
    model_.token_scale = description.at("token_scale").get<float>();
  } catch (const nlohmann::json::exception& error) {
    corrupt(directory / kDescriptionFile, std::string("lacks a field: ") + error.what());
  }
  if (model_.num_titles < 0 || !std::isfinite(model_.token_scale)) {
    corrupt(directory / kDescriptionFile, "has a number of titles or a scale that cannot be");
  }
}

void write_builtin_artefact(const FittedText& fitted, const std::filesystem::path& directory) {
  make_directories(directory);
  const std::filesystem::path description_path = directory / kDescriptionFile;
  std::error_code error;
  std::filesystem::remove(description_path, error);
  if (error) throw system_error("replace", description_path.string(), error.value());

  const auto num_terms = static_cast<std::int64_t>(fitted.hashes.size());
  const auto num_rows = [](const std::vector<Float16Bits>& basis, int dim) {
    return static_cast<std::int64_t>(basis.size()) / dim;
  };
  // Largest elements first keeps every tensor aligned in the mapped file.
  const NamedTensor tensors[] = {
      tensor("hashes", DataType::kInt64, {num_terms}, fitted.hashes),
      tensor("hashed_basis", DataType::kFloat32, {kRetrievalBasisDim, kRetrievalHashDim},
             fitted.hashed_basis),
      tensor("title_counts", DataType::kInt32, {num_terms}, fitted.title_counts),
      tensor("token_rows", DataType::kInt32, {num_terms}, fitted.token_rows),
      tensor("retrieval_rows", DataType::kInt32, {num_terms}, fitted.retrieval_rows),
      tensor("token_basis", DataType::kFloat16,
             {num_rows(fitted.token_basis, kTokenBasisDim), kTokenBasisDim}, fitted.token_basis),
      tensor("retrieval_basis", DataType::kFloat16,
             {num_rows(fitted.retrieval_basis, kRetrievalBasisDim), kRetrievalBasisDim},
             fitted.retrieval_basis)};
  const std::filesystem::path tensor_path = directory / kTensorFile;
  write_safetensors(tensor_path, tensors);

  const MappedFile written(tensor_path);
  Json description = describe(fitted.num_titles, fitted.token_scale, written.bytes().size(),
                              to_hex(checksum64(written.bytes())));
  const std::string content_fingerprint = fingerprint(description.dump());
  description["fingerprint"] = content_fingerprint;
  write_file_atomically(description_path, description.dump(2) + "\n");
}

}  // namespace mmra::encoders
