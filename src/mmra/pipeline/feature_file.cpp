#include "mmra/pipeline/feature_file.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <string_view>

#include "mmra/core/error.h"
#include "mmra/pipeline/ingest.h"

namespace mmra::pipeline {
namespace {

constexpr float kLargestHalf = 65504.0F;

[[noreturn]] void corrupt(const std::string& origin, const std::string& what) {
  throw Error(ErrorKind::kCorruptData, origin + " is not a valid .npy file: " + what);
}

/// The value of 'key' in the header's Python dictionary, up to the next comma or brace at its
/// level.
std::string_view header_value(std::string_view header, std::string_view key,
                              const std::string& origin) {
  const std::string quoted = "'" + std::string(key) + "':";
  std::size_t at = header.find(quoted);
  if (at == std::string_view::npos) corrupt(origin, "its header has no " + quoted);
  at += quoted.size();
  at = header.find_first_not_of(' ', at);
  if (at == std::string_view::npos) corrupt(origin, "its header is cut");
  const char closing = header[at] == '(' ? ')' : ',';
  const std::size_t end = header.find_first_of(std::string{closing, '}'}, at);
  if (end == std::string_view::npos) corrupt(origin, "its header is cut");
  return header.substr(at, end - at);
}

std::vector<std::int64_t> parse_shape(std::string_view text, const std::string& origin) {
  std::vector<std::int64_t> shape;
  if (text.empty() || text.front() != '(') corrupt(origin, "its shape is " + std::string(text));
  for (std::size_t at = 1; at < text.size();) {
    if (text[at] == ' ' || text[at] == ',') {
      ++at;
      continue;
    }
    std::int64_t size = 0;
    const auto [end, code] = std::from_chars(text.data() + at, text.data() + text.size(), size);
    if (code != std::errc() || size < 0) corrupt(origin, "its shape is " + std::string(text));
    shape.push_back(size);
    at = static_cast<std::size_t>(end - text.data());
  }
  return shape;
}

DataType parse_descriptor(std::string_view text, const std::string& origin) {
  if (text == "'<f4'") return DataType::kFloat32;
  if (text == "'<f2'") return DataType::kFloat16;
  if (text == "'<f8'") return DataType::kFloat64;
  throw Error(ErrorKind::kUnsupported, origin + " holds " + std::string(text) +
                                           "; little-endian float16, float32 and float64 are read");
}

TensorView only_tensor(std::span<const std::byte> bytes, const std::string& origin) {
  const SafetensorsContent content = parse_safetensors(bytes, origin);
  if (content.tensors.size() != 1) {
    throw Error(ErrorKind::kInvalidInput, origin + " holds " +
                                              std::to_string(content.tensors.size()) +
                                              " tensors; a feature file needs exactly one");
  }
  return content.tensors.begin()->second;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t size : shape) text += (text.empty() ? "" : " x ") + std::to_string(size);
  return "[" + text + "]";
}

}  // namespace

TensorView parse_npy(std::span<const std::byte> bytes, const std::string& origin) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.size() < 12 || text.substr(0, 6) != "\x93NUMPY") corrupt(origin, "no NUMPY magic");
  const int version = static_cast<unsigned char>(text[6]);
  std::size_t header_size = 0;
  const std::size_t prefix = version == 1 ? 10 : 12;
  std::memcpy(&header_size, text.data() + 8, version == 1 ? 2 : 4);
  if (version < 1 || version > 3 || header_size > text.size() - prefix) {
    corrupt(origin, "its header claims " + std::to_string(header_size) + " bytes");
  }
  const std::string_view header = text.substr(prefix, header_size);
  if (header_value(header, "fortran_order", origin) != "False") {
    throw Error(ErrorKind::kUnsupported,
                origin + " is in Fortran order; save it with numpy.ascontiguousarray");
  }
  TensorView view;
  view.type = parse_descriptor(header_value(header, "descr", origin), origin);
  view.shape = parse_shape(header_value(header, "shape", origin), origin);
  view.bytes = bytes.subspan(prefix + header_size);
  std::uint64_t expected = size_of(view.type);
  for (const std::int64_t size : view.shape) {
    if (__builtin_mul_overflow(expected, static_cast<std::uint64_t>(size), &expected)) {
      corrupt(origin, "its shape " + shape_text(view.shape) + " is too large");
    }
  }
  if (expected != view.bytes.size()) {
    corrupt(origin, "the shape " + shape_text(view.shape) + " needs " + std::to_string(expected) +
                        " bytes, there are " + std::to_string(view.bytes.size()) + " (truncated?)");
  }
  return view;
}

FeatureFile::FeatureFile(const std::filesystem::path& path, std::int64_t num_rows)
    : path_(path), file_(path) {
  const bool npy = path.extension() == ".npy";
  const TensorView view =
      npy ? parse_npy(file_.bytes(), path.string()) : only_tensor(file_.bytes(), path.string());
  const bool floating = view.type == DataType::kFloat16 || view.type == DataType::kFloat32 ||
                        view.type == DataType::kFloat64;
  if (!floating || view.shape.size() < 2 || view.shape.size() > 3 || view.shape.back() < 1 ||
      view.shape.back() > 1'000'000) {
    throw Error(ErrorKind::kInvalidInput,
                path.string() + " holds " + std::string(mmra::name_of(view.type)) + " " +
                    shape_text(view.shape) +
                    "; floats of [rows x dim] or [rows x tokens x dim] are needed");
  }
  if (view.shape.front() != num_rows) {
    throw Error(ErrorKind::kInvalidInput,
                path.string() + " has " + std::to_string(view.shape.front()) +
                    " rows, the manifest has " + std::to_string(num_rows));
  }
  type_ = view.type;
  data_ = view.bytes;
  dim_ = static_cast<int>(view.shape.back());
  num_tokens_ = view.shape.size() == 3 ? static_cast<int>(view.shape[1]) : 1;
}

std::vector<float> FeatureFile::values(std::int64_t row) const {
  const std::size_t count = static_cast<std::size_t>(num_tokens_) * static_cast<std::size_t>(dim_);
  const std::size_t size_bytes = count * size_of(type_);
  const auto bytes = data_.subspan(static_cast<std::size_t>(row) * size_bytes, size_bytes);
  std::vector<float> values(count);
  if (type_ == DataType::kFloat32) {
    std::memcpy(values.data(), bytes.data(), size_bytes);
  } else if (type_ == DataType::kFloat16) {
    std::vector<Float16Bits> halves(count);
    std::memcpy(halves.data(), bytes.data(), size_bytes);
    halves_to_floats(halves, values);
  } else {
    for (std::size_t i = 0; i < count; ++i) {
      double value = 0.0;
      std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
      values[i] = static_cast<float>(value);
    }
  }
  for (const float value : values) {
    if (!std::isfinite(value)) {
      throw Error(ErrorKind::kInvalidInput,
                  path_.string() + ", row " + std::to_string(row) + ": a value is not finite");
    }
  }
  return values;
}

HalfTokenMatrix FeatureFile::tokens(std::int64_t row) const {
  const TokenMatrix tokens{num_tokens_, dim_, values(row)};
  for (const float value : tokens.values) {
    if (std::abs(value) > kLargestHalf) {
      throw Error(ErrorKind::kInvalidInput,
                  path_.string() + ", row " + std::to_string(row) + ": the value " +
                      std::to_string(value) +
                      " is beyond float16, in which a bank keeps tokens; scale the features down");
    }
  }
  return to_half(tokens);
}

std::vector<float> FeatureFile::unit_vector(std::int64_t row) const {
  std::vector<float> vector = values(row);
  double squares = 0.0;
  for (const float value : vector) squares += static_cast<double>(value) * value;
  if (squares > 0.0) {
    const double norm = std::sqrt(squares);
    for (float& value : vector) value = static_cast<float>(value / norm);
  }
  return vector;
}

std::string FeatureFiles::name_suffix() const {
  std::string parts;
  const auto add = [&](bool has, const char* name) {
    if (has) parts += (parts.empty() ? "" : ",") + std::string(name);
  };
  add(visual != nullptr, "visual");
  add(text != nullptr, "text");
  add(retrieval != nullptr, "retrieval");
  return parts.empty() ? "" : "+" + parts + " features";
}

FeatureFiles open_feature_files(const IngestOptions& options, std::int64_t num_rows) {
  const auto open = [&](const std::filesystem::path& path) {
    return path.empty() ? nullptr : std::make_shared<const FeatureFile>(path, num_rows);
  };
  FeatureFiles files{open(options.visual_features), open(options.text_features),
                     open(options.retrieval_vectors)};
  if (files.retrieval && files.retrieval->num_tokens() != 1) {
    throw Error(ErrorKind::kInvalidInput, options.retrieval_vectors.string() +
                                              " has tokens; retrieval vectors are [rows x dim]");
  }
  return files;
}

ForeignFeatures foreign_features(const std::string& encoders_name) {
  const std::size_t at = encoders_name.find('+');
  if (at == std::string::npos) return {};
  const std::string_view parts = std::string_view(encoders_name).substr(at);
  const auto has = [&](const char* part) { return parts.find(part) != std::string_view::npos; };
  return {has("visual"), has("text"), has("retrieval")};
}

void check_feature_files(const FeatureFiles& files, const bank::BankSchema& schema) {
  const std::string& encoders = schema.encoders_name;
  const std::string given = encoders.substr(0, encoders.find('+')) + files.name_suffix();
  if (given != encoders) {
    throw Error(ErrorKind::kInvalidInput,
                "the bank was made by " + encoders + ", this run has " + given +
                    ": give features made elsewhere for the same parts "
                    "(--visual-features, --text-features, --retrieval-vectors), or make another "
                    "bank");
  }
  const auto check = [](const std::shared_ptr<const FeatureFile>& file, int bank_dim,
                        const char* what) {
    if (!file || file->dim() == bank_dim) return;
    throw Error(ErrorKind::kInvalidInput, std::string("the ") + what + " file has the dim " +
                                              std::to_string(file->dim()) + ", the bank's is " +
                                              std::to_string(bank_dim) + ": make another bank");
  };
  check(files.visual, schema.visual_dim, "visual features");
  check(files.text, schema.text_dim, "text features");
  check(files.retrieval, schema.retrieval_dim, "retrieval vectors");
}

}  // namespace mmra::pipeline
