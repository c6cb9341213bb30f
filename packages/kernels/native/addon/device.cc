// Opening backends (built in, or dlopened plugins) and the handle table; see device.h.
#include "addon/device.h"

#include <dlfcn.h>

#include "cpu/backend.h"
#include "reference/backend.h"

namespace nsa::addon {
namespace {
constexpr double kGeneration = double(1 << 24);

const NsaBackend* load_plugin(const std::string& path, void*& library, std::string& error) {
  library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    error = dlerror();
    return nullptr;
  }
  auto entry = reinterpret_cast<NsaBackendEntry>(dlsym(library, NSA_BACKEND_ENTRY));
  if (!entry) {
    error = path + " does not export " NSA_BACKEND_ENTRY;
    return nullptr;
  }
  const NsaBackend* b = entry();
  if (b->abi_version != NSA_ABI_VERSION || b->struct_size != sizeof(NsaBackend) || b->ops_hash != nsa_ops_hash()) {
    error = path + " was built from another version of the ABI; rebuild it with `pnpm build:cuda`";
    return nullptr;
  }
  return b;
}
}  // namespace

size_t dtype_size(int32_t dtype) {
  switch (dtype) {
    case NSA_F32: case NSA_I32: return 4;
    case NSA_BF16: return 2;
    case NSA_F64: case NSA_I64: return 8;
    default: return 1;
  }
}

std::unique_ptr<Device> Device::open(const std::string& name, const std::string& plugin, int64_t threads, int64_t ordinal,
                                     std::string& error) {
  auto d = std::make_unique<Device>();
  if (name == "cpu") d->backend = cpu::backend();
  else if (name == "reference") d->backend = ref::backend();
  else d->backend = load_plugin(plugin, d->library_, error);
  if (!d->backend) return nullptr;
  d->pool = std::make_unique<Pool>(d->backend, &d->ctx);
  NsaCreateInfo info{};
  info.threads = threads;
  info.ordinal = ordinal;
  info.scratch.owner = d.get();
  info.scratch.alloc = [](void* owner, size_t bytes) { return static_cast<Device*>(owner)->current()->alloc(bytes); };
  info.scratch.free = [](void* owner, void* ptr) { static_cast<Device*>(owner)->current()->free(ptr); };
  char err[1024] = "";
  d->ctx = d->backend->create(&info, err, sizeof err);
  if (!d->ctx) {
    error = err[0] ? err : "the backend could not be created";
    return nullptr;
  }
  return d;
}

Device::~Device() {
  if (ctx) backend->sync(ctx);
  if (ctx) {
    for (size_t i = 0; i < graphs_.size(); ++i) graph_destroy(int64_t(i));
    capturing_.reset();
    pool.reset();
    backend->destroy(ctx);
  }
  // The library stays loaded: a driver may still run exit handlers in it.
}

double Device::take_slot(const Slot& s) {
  uint32_t i;
  if (!free_slots_.empty()) {
    i = free_slots_.back();
    free_slots_.pop_back();
  } else {
    i = uint32_t(slots_.size());
    slots_.push_back(Slot{});
  }
  uint32_t generation = slots_[i].generation + 1;
  slots_[i] = s;
  slots_[i].generation = generation;
  slots_[i].used = true;
  ++live_handles;
  return double(i) + double(generation) * kGeneration;
}

double Device::alloc(int64_t numel, int32_t dtype) {
  Slot s;
  s.pool = current();
  s.ptr = static_cast<char*>(s.pool->alloc(size_t(numel) * dtype_size(dtype)));
  if (!s.ptr) return 0;
  s.numel = numel;
  s.dtype = dtype;
  return take_slot(s);
}

double Device::view(double handle, int64_t offset, int64_t numel) {
  Slot* p = resolve(handle);
  if (!p || offset < 0 || numel < 0 || offset + numel > p->numel) return 0;
  Slot s;
  s.ptr = p->ptr + size_t(offset) * dtype_size(p->dtype);
  s.numel = numel;
  s.dtype = p->dtype;
  s.parent = p->parent != 0 ? p->parent : handle;
  return take_slot(s);
}

Slot* Device::resolve(double handle) {
  double generation = double(int64_t(handle / kGeneration));
  auto i = uint32_t(handle - generation * kGeneration);
  if (i == 0 || i >= slots_.size()) return nullptr;
  Slot& s = slots_[i];
  if (!s.used || double(s.generation) != generation) return nullptr;
  if (s.parent != 0 && !resolve(s.parent)) return nullptr;
  return &s;
}

bool Device::free(double handle) {
  double generation = double(int64_t(handle / kGeneration));
  auto i = uint32_t(handle - generation * kGeneration);
  if (i == 0 || i >= slots_.size() || !slots_[i].used || double(slots_[i].generation) != generation) return false;
  if (slots_[i].parent == 0 && slots_[i].pool) slots_[i].pool->free(slots_[i].ptr);
  slots_[i].used = false;
  free_slots_.push_back(i);
  --live_handles;
  return true;
}

int Device::capture_begin() {
  if (capturing_) return NSA_BAD_ARGUMENT;
  int status = backend->capture_begin(ctx);
  if (status == NSA_OK) capturing_ = std::make_unique<Pool>(backend, &ctx);
  return status;
}

int64_t Device::capture_end() {
  void* handle = backend->capture_end(ctx);
  graphs_.push_back({handle, std::move(capturing_)});
  if (handle) return int64_t(graphs_.size()) - 1;
  graph_destroy(int64_t(graphs_.size()) - 1);
  return -1;
}

int Device::graph_launch(int64_t graph) {
  if (graph < 0 || graph >= int64_t(graphs_.size()) || !graphs_[size_t(graph)].handle) return NSA_BAD_ARGUMENT;
  return backend->graph_launch(ctx, graphs_[size_t(graph)].handle);
}

void Device::graph_destroy(int64_t graph) {
  Graph& g = graphs_.at(size_t(graph));
  if (!g.pool) return;
  backend->sync(ctx);
  if (g.handle) backend->graph_destroy(ctx, g.handle);
  // Tensors that lived in the graph's memory become stale.
  for (Slot& s : slots_) {
    if (!s.used || s.parent != 0 || s.pool != g.pool.get()) continue;
    s.used = false;
    free_slots_.push_back(uint32_t(&s - slots_.data()));
    --live_handles;
  }
  g = Graph{};
}

int64_t Device::live_bytes() const {
  int64_t n = pool->live_bytes() + (capturing_ ? capturing_->live_bytes() : 0);
  for (const Graph& g : graphs_) n += g.pool ? g.pool->live_bytes() : 0;
  return n;
}

int64_t Device::reserved_bytes() const {
  int64_t n = pool->reserved_bytes() + (capturing_ ? capturing_->reserved_bytes() : 0);
  for (const Graph& g : graphs_) n += g.pool ? g.pool->reserved_bytes() : 0;
  return n;
}

int64_t Device::peak_bytes() const {
  int64_t n = pool->peak_bytes() + (capturing_ ? capturing_->peak_bytes() : 0);
  for (const Graph& g : graphs_) n += g.pool ? g.pool->peak_bytes() : 0;
  return n;
}

}  // namespace nsa::addon
