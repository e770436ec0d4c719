#include "mmra/core/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "mmra/core/error.h"
#include "mmra/core/float16.h"

namespace mmra {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::pair<std::string_view, DataType> kTypeNames[] = {
    {"F32", DataType::kFloat32}, {"F16", DataType::kFloat16}, {"BF16", DataType::kBFloat16},
    {"F64", DataType::kFloat64}, {"I64", DataType::kInt64},   {"I32", DataType::kInt32},
    {"U8", DataType::kUint8}};

std::string to_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

[[noreturn]] void corrupt(const std::string& origin, const std::string& what) {
  throw Error(ErrorKind::kCorruptData, origin + " is not a valid safetensors file: " + what);
}

/// The number of bytes of a shape, or nothing where it overflows or a dimension is negative.
std::optional<std::uint64_t> bytes_of(DataType type, std::span<const std::int64_t> shape) {
  std::uint64_t size = size_of(type);
  for (const std::int64_t dimension : shape) {
    if (dimension < 0) return std::nullopt;
    if (__builtin_mul_overflow(size, static_cast<std::uint64_t>(dimension), &size)) {
      return std::nullopt;
    }
  }
  return size;
}

TensorView parse_tensor(const std::string& name, const Json& entry, std::span<const std::byte> data,
                        const std::string& origin, std::uint64_t& begin_out,
                        std::uint64_t& end_out) {
  const std::string where = "tensor \"" + name + "\" ";
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string() ||
      !entry.contains("shape") || !entry["shape"].is_array() || !entry.contains("data_offsets") ||
      !entry["data_offsets"].is_array() || entry["data_offsets"].size() != 2) {
    corrupt(origin, where + "needs dtype, shape and two data_offsets");
  }
  TensorView view;
  const auto& type_name = entry["dtype"].get_ref<const std::string&>();
  const auto* type = std::find_if(std::begin(kTypeNames), std::end(kTypeNames),
                                  [&](const auto& pair) { return pair.first == type_name; });
  if (type == std::end(kTypeNames)) {
    throw Error(ErrorKind::kUnsupported, origin + ": " + where + "has the type " + type_name +
                                             "; F32, F16, BF16, F64, I64, I32 and U8 are read");
  }
  view.type = type->second;
  for (const auto& dimension : entry["shape"]) {
    if (!dimension.is_number_unsigned() ||
        dimension.get<std::uint64_t>() >
            static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      corrupt(origin, where + "has a dimension that is not a whole number");
    }
    view.shape.push_back(dimension.get<std::int64_t>());
  }
  const auto& offsets = entry["data_offsets"];
  if (!offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned()) {
    corrupt(origin, where + "has offsets that are not whole numbers");
  }
  begin_out = offsets[0].get<std::uint64_t>();
  end_out = offsets[1].get<std::uint64_t>();
  if (begin_out > end_out || end_out > data.size()) {
    corrupt(origin, where + "lies at bytes " + std::to_string(begin_out) + " to " +
                        std::to_string(end_out) + ", the file has " + std::to_string(data.size()) +
                        " bytes of data (truncated?)");
  }
  const auto expected = bytes_of(view.type, view.shape);
  if (!expected || *expected != end_out - begin_out) {
    corrupt(origin, where + "has the shape " + to_text(view.shape) + " of " + type_name +
                        ", which does not fit its " + std::to_string(end_out - begin_out) +
                        " bytes");
  }
  view.bytes = data.subspan(begin_out, end_out - begin_out);
  return view;
}

}  // namespace

std::size_t size_of(DataType type) noexcept {
  switch (type) {
    case DataType::kFloat64:
    case DataType::kInt64:
      return 8;
    case DataType::kFloat32:
    case DataType::kInt32:
      return 4;
    case DataType::kFloat16:
    case DataType::kBFloat16:
      return 2;
    case DataType::kUint8:
      return 1;
  }
  return 0;
}

std::string_view name_of(DataType type) noexcept {
  for (const auto& [name, value] : kTypeNames) {
    if (value == type) return name;
  }
  return "?";
}

std::int64_t TensorView::num_elements() const noexcept {
  return static_cast<std::int64_t>(bytes.size() / size_of(type));
}

SafetensorsContent parse_safetensors(std::span<const std::byte> buffer, const std::string& origin) {
  if (buffer.size() < 8) {
    corrupt(origin, "it has " + std::to_string(buffer.size()) + " bytes, at least 8 are needed");
  }
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, buffer.data(), 8);
  if (header_size > buffer.size() - 8) {
    corrupt(origin, "its header claims " + std::to_string(header_size) + " bytes, the file has " +
                        std::to_string(buffer.size()));
  }
  const char* text = reinterpret_cast<const char*>(buffer.data()) + 8;
  const Json header = Json::parse(text, text + header_size, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) corrupt(origin, "its header is not a JSON object");

  const auto data = buffer.subspan(8 + header_size);
  SafetensorsContent content;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) corrupt(origin, "its __metadata__ is not an object");
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) corrupt(origin, "its __metadata__ holds more than strings");
        content.metadata[key] = value.get<std::string>();
      }
      continue;
    }
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    content.tensors[name] = parse_tensor(name, entry, data, origin, begin, end);
    ranges.emplace_back(begin, end);
  }
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t covered = 0;
  for (const auto& [begin, end] : ranges) {
    if (begin != covered) corrupt(origin, "its tensors overlap or leave a gap");
    covered = end;
  }
  if (covered != data.size()) {
    corrupt(origin, "its tensors end at byte " + std::to_string(covered) + " of " +
                        std::to_string(data.size()));
  }
  return content;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : origin_(path.string()), file_(path), content_(parse_safetensors(file_.bytes(), origin_)) {}

const TensorView& SafetensorsFile::tensor(const std::string& name) const {
  const auto found = content_.tensors.find(name);
  if (found == content_.tensors.end()) {
    throw Error(ErrorKind::kCorruptData, origin_ + " has no tensor \"" + name + "\"");
  }
  return found->second;
}

std::vector<float> SafetensorsFile::floats(const std::string& name,
                                           std::span<const std::int64_t> shape) const {
  const TensorView& view = tensor(name);
  if (!std::equal(shape.begin(), shape.end(), view.shape.begin(), view.shape.end())) {
    throw Error(ErrorKind::kCorruptData, origin_ + ": tensor \"" + name + "\" has the shape " +
                                             to_text(view.shape) + ", expected " + to_text(shape));
  }
  std::vector<float> values(static_cast<std::size_t>(view.num_elements()));
  switch (view.type) {
    case DataType::kFloat32:
      std::memcpy(values.data(), view.bytes.data(), view.bytes.size());
      break;
    case DataType::kFloat16: {
      std::vector<Float16Bits> halves(values.size());
      std::memcpy(halves.data(), view.bytes.data(), view.bytes.size());
      halves_to_floats(halves, values);
      break;
    }
    case DataType::kBFloat16:
      for (std::size_t i = 0; i < values.size(); ++i) {
        std::uint16_t bits = 0;
        std::memcpy(&bits, view.bytes.data() + 2 * i, 2);
        values[i] = std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
      }
      break;
    default:
      throw Error(ErrorKind::kCorruptData, origin_ + ": tensor \"" + name + "\" is " +
                                               std::string(name_of(view.type)) +
                                               ", a floating type is needed");
  }
  return values;
}

void write_safetensors(const std::filesystem::path& path, std::span<const NamedTensor> tensors,
                       const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const NamedTensor& tensor : tensors) {
    const auto expected = bytes_of(tensor.type, tensor.shape);
    if (!expected || *expected != tensor.bytes.size()) {
      throw Error(ErrorKind::kInternal, "tensor \"" + tensor.name + "\" of shape " +
                                            to_text(tensor.shape) + " was given " +
                                            std::to_string(tensor.bytes.size()) + " bytes");
    }
    header[tensor.name] = {{"dtype", std::string(name_of(tensor.type))},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const std::uint64_t header_size = text.size();

  AtomicFile file(path);
  file.write(&header_size, 8);
  file.write(text);
  for (const NamedTensor& tensor : tensors) file.write(tensor.bytes.data(), tensor.bytes.size());
  file.commit();
}

}  // namespace mmra
