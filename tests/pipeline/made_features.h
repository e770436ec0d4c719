#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "mmra/core/files.h"
#include "mmra/core/safetensors.h"

namespace mmra::pipeline::testing {

template <typename Value>
std::string bytes_of(const std::vector<Value>& values) {
  std::string bytes(values.size() * sizeof(Value), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// A .npy file of format `version` with this dictionary as its header.
inline std::string npy_file(int version, const std::string& dictionary, const std::string& data) {
  const int size_bytes = version == 1 ? 2 : 4;
  std::string bytes = "\x93NUMPY";
  bytes += static_cast<char>(version);
  bytes += '\0';
  for (int i = 0; i < size_bytes; ++i) {
    bytes += static_cast<char>((dictionary.size() >> (8 * i)) & 0xFFU);
  }
  return bytes + dictionary + data;
}

/// As numpy.save writes its header.
inline std::string npy_dictionary(const std::string& type, const std::string& shape,
                                  const std::string& fortran_order = "False") {
  return "{'descr': '" + type + "', 'fortran_order': " + fortran_order + ", 'shape': " + shape +
         ", }      \n";
}

/// Row i holds i + 0.25 everywhere, [num_rows × dim].
inline std::vector<float> rising_rows(int num_rows, int dim) {
  std::vector<float> values;
  for (int row = 0; row < num_rows; ++row) {
    values.insert(values.end(), static_cast<std::size_t>(dim), static_cast<float>(row) + 0.25F);
  }
  return values;
}

inline void write_npy(const std::filesystem::path& file, const std::vector<float>& values,
                      const std::string& shape) {
  write_file_atomically(file, npy_file(1, npy_dictionary("<f4", shape), bytes_of(values)));
}

inline void write_one_tensor(const std::filesystem::path& file, DataType type,
                             const std::vector<std::int64_t>& shape, const std::string& bytes) {
  const std::vector<NamedTensor> tensors{
      {"features", type, shape, std::as_bytes(std::span(bytes.data(), bytes.size()))}};
  write_safetensors(file, tensors);
}

}  // namespace mmra::pipeline::testing
