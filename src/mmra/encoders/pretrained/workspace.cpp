#include "mmra/encoders/pretrained/workspace.h"

#include <utility>

#include "mmra/encoders/pretrained/products.h"

namespace mmra::encoders {

Workspace::Workspace() : products_(std::make_unique<Products>()) {}
Workspace::~Workspace() = default;

WorkspacePool::Lease WorkspacePool::borrow() {
  std::unique_ptr<Workspace> workspace;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      workspace = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!workspace) workspace = std::make_unique<Workspace>();
  return {*this, std::move(workspace)};
}

WorkspacePool::Lease::~Lease() {
  const std::lock_guard lock(pool_.mutex_);
  pool_.idle_.push_back(std::move(workspace_));
}

}  // namespace mmra::encoders
