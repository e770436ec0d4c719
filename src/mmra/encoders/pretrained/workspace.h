#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "mmra/encoders/pretrained/rows.h"

namespace mmra::encoders {

class Products;

/// What a forward pass needs besides weights: scratch memory that keeps its size from call to call,
/// and oneDNN's products, one for each shape met. Used by one thread at a time; a model lends one
/// to every call (WorkspacePool).
class Workspace {
 public:
  Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  ~Workspace();

  [[nodiscard]] Products& products() { return *products_; }

  Matrix states;  ///< of a model while it runs [tokens × hidden]

  // Scratch of the layers in transformer_blocks.h; nothing in them outlives a layer's call.
  Matrix normed;                              ///< [tokens × hidden]
  Matrix projected;                           ///< queries, keys and values
  BFloat16Matrix projected_bfloat16;          ///< the same for attention in bfloat16
  Matrix context;                             ///< what attention gives [tokens × hidden]
  Matrix intermediate;                        ///< [tokens × feed-forward width]
  BFloat16Matrix rounded;                     ///< an input of a bfloat16 product
  BFloat16Matrix rounded_wide;                ///< the feed-forward's middle, bfloat16
  std::vector<std::vector<float>> attention;  ///< scores and the like, one a thread

 private:
  std::unique_ptr<Products> products_;
};

/// Lends each concurrent call a workspace of its own. Thread-safe. Must outlive what it lends.
class WorkspacePool {
 public:
  class Lease {
   public:
    Lease(WorkspacePool& pool, std::unique_ptr<Workspace> workspace)
        : pool_(pool), workspace_(std::move(workspace)) {}
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease();
    Workspace& operator*() const { return *workspace_; }
    Workspace* operator->() const { return workspace_.get(); }

   private:
    WorkspacePool& pool_;
    std::unique_ptr<Workspace> workspace_;
  };

  [[nodiscard]] Lease borrow();

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> idle_;
};

}  // namespace mmra::encoders
