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
  d->pool = std::make_unique<Pool>(d->backend, &d->ctx, &d->budget_);
  NsaCreateInfo info{};
  info.threads = threads;
  info.ordinal = ordinal;
  info.scratch.owner = d.get();
  info.scratch.alloc = [](void* owner, size_t bytes) { return static_cast<Device*>(owner)->take(bytes); };
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
    arenas_.clear();
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
  return handle_of(i, slots_[i]);
}

double Device::handle_of(uint32_t index, const Slot& s) { return double(index) + double(s.generation) * kGeneration; }

double Device::alloc(int64_t numel, int32_t dtype) {
  Slot s;
  s.pool = current();
  s.ptr = static_cast<char*>(take(size_t(numel) * dtype_size(dtype)));
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

void* Device::take(size_t bytes) {
  void* p = current()->alloc(bytes);
  // A recorded step must not wait, as freeing does; its arena is as large as its plain run made it.
  if (!p && !captures_ && pool->trim()) p = current()->alloc(bytes);
  return p;
}

int Device::capture_begin() {
  if (captures_) return NSA_BAD_ARGUMENT;
  if (backend->capture_begin) {
    if (int status = backend->capture_begin(ctx)) return status;
  } else {
    recording_ = true;
  }
  captures_ = true;
  if (!arena_) capturing_ = std::make_unique<Pool>(backend, &ctx, &budget_);
  return NSA_OK;
}

int64_t Device::capture_end() {
  Graph g;
  g.used = true;
  if (!recording_) g.handle = backend->capture_end(ctx);
  bool failed = !recording_ && !g.handle;
  g.recorded.swap(recorded_);
  g.pool = std::move(capturing_);
  captures_ = recording_ = false;
  graphs_.push_back(std::move(g));
  auto index = int64_t(graphs_.size()) - 1;
  if (!failed) return index;
  graph_destroy(index);
  return -1;
}

int Device::graph_launch(int64_t graph) {
  if (graph < 0 || graph >= int64_t(graphs_.size()) || !graphs_[size_t(graph)].used) return NSA_BAD_ARGUMENT;
  const Graph& g = graphs_[size_t(graph)];
  if (g.handle) return backend->graph_launch(ctx, g.handle);
  for (const RecordedOp& r : g.recorded)
    if (int status = backend->ops[r.op](ctx, r.params.data())) return status;
  return NSA_OK;
}

// Tensors that lived in memory that goes become stale.
void Device::forget_slots(const Pool* gone) {
  for (Slot& s : slots_) {
    if (!s.used || s.parent != 0 || s.pool != gone) continue;
    s.used = false;
    free_slots_.push_back(uint32_t(&s - slots_.data()));
    --live_handles;
  }
}

void Device::graph_destroy(int64_t graph) {
  Graph& g = graphs_.at(size_t(graph));
  if (!g.used) return;
  backend->sync(ctx);
  if (g.handle) backend->graph_destroy(ctx, g.handle);
  if (g.pool) forget_slots(g.pool.get());
  g = Graph{};
}

int64_t Device::arena_make() {
  arenas_.push_back(std::make_unique<Pool>(backend, &ctx, &budget_));
  return int64_t(arenas_.size()) - 1;
}

int Device::arena_enter(int64_t arena) {
  if (arena_ || captures_ || arena < 0 || arena >= int64_t(arenas_.size()) || !arenas_[size_t(arena)]) return NSA_BAD_ARGUMENT;
  arena_ = arenas_[size_t(arena)].get();
  return NSA_OK;
}

int Device::arena_leave() {
  if (captures_) return NSA_BAD_ARGUMENT;
  arena_ = nullptr;
  return NSA_OK;
}

void Device::arena_free(int64_t arena) {
  if (arena < 0 || arena >= int64_t(arenas_.size()) || !arenas_[size_t(arena)]) return;
  auto& gone = arenas_[size_t(arena)];
  if (arena_ == gone.get()) arena_ = nullptr;
  backend->sync(ctx);
  forget_slots(gone.get());
  gone.reset();
}

int64_t Device::total(int64_t (Pool::*count)() const) const {
  int64_t n = (pool.get()->*count)() + (capturing_ ? (capturing_.get()->*count)() : 0);
  for (const Graph& g : graphs_) n += g.pool ? (g.pool.get()->*count)() : 0;
  for (const auto& a : arenas_) n += a ? (a.get()->*count)() : 0;
  return n;
}

void Device::reset_peak() {
  pool->reset_peak();
  for (const auto& a : arenas_)
    if (a) a->reset_peak();
}

}  // namespace nsa::addon
