#include "mmra/model/neural/tensor_files.h"

#include <algorithm>
#include <cstring>

#include "mmra/core/error.h"
#include "mmra/core/safetensors.h"

namespace mmra::model::neural {
namespace {

DataType type_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return DataType::kFloat32;
    case at::kDouble:
      return DataType::kFloat64;
    case at::kLong:
      return DataType::kInt64;
    case at::kByte:
      return DataType::kUint8;
    default:
      throw Error(ErrorKind::kInternal, "a tensor of a type that is not saved");
  }
}

std::string to_text(at::IntArrayRef shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& what) {
  throw Error(ErrorKind::kCorruptData, file.string() + " does not fit its configuration: " + what);
}

void check(const std::filesystem::path& file, const SafetensorsFile& content,
           const NamedTensors& into, const std::string& format) {
  const auto found = content.metadata().find("format");
  if (found == content.metadata().end() || found->second != format) {
    refuse(file, "its format is \"" + (found == content.metadata().end() ? "" : found->second) +
                     "\", expected \"" + format + "\"");
  }
  for (const auto& [name, tensor] : into) {
    const auto entry = content.tensors().find(name);
    if (entry == content.tensors().end()) refuse(file, "it has no tensor \"" + name + "\"");
    const TensorView& view = entry->second;
    if (view.type != type_of(tensor)) {
      refuse(file, "tensor \"" + name + "\" is " + std::string(name_of(view.type)) + ", expected " +
                       std::string(name_of(type_of(tensor))));
    }
    if (at::IntArrayRef(view.shape) != tensor.sizes()) {
      refuse(file, "tensor \"" + name + "\" has the shape " + to_text(view.shape) + ", expected " +
                       to_text(tensor.sizes()));
    }
  }
  for (const auto& entry : content.tensors()) {
    if (std::none_of(into.begin(), into.end(),
                     [&](const auto& known) { return known.first == entry.first; })) {
      refuse(file, "it has the unknown tensor \"" + entry.first + "\"");
    }
  }
}

}  // namespace

void save_tensors(const std::filesystem::path& file, const NamedTensors& tensors,
                  const std::map<std::string, std::string>& metadata) {
  std::vector<NamedTensor> list;
  std::vector<at::Tensor> alive;
  for (const auto& [name, tensor] : tensors) {
    alive.push_back(tensor.detach().contiguous());
    const at::Tensor& dense = alive.back();
    list.push_back({name,
                    type_of(dense),
                    dense.sizes().vec(),
                    {static_cast<const std::byte*>(dense.data_ptr()), dense.nbytes()}});
  }
  write_safetensors(file, list, metadata);
}

void load_tensors(const std::filesystem::path& file, const NamedTensors& into,
                  const std::string& format) {
  const SafetensorsFile content(file);
  check(file, content, into, format);
  for (const auto& [name, tensor] : into) {
    const TensorView& view = content.tensor(name);
    TORCH_INTERNAL_ASSERT(tensor.is_contiguous());
    if (!view.bytes.empty()) std::memcpy(tensor.data_ptr(), view.bytes.data(), view.bytes.size());
  }
}

}  // namespace mmra::model::neural
