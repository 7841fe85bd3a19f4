// A device that has its own tensors but the host's memory and the host's operations.
//
// As a CUDA device does, it refuses operations on tensors of two devices and generators of the host;
// it has no kernels of its own, streams or graphs. It can tell, though, what could not be captured as
// a graph: whatever makes the host wait. See emulated.py.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/Functions.h>
#include <ATen/TensorUtils.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/library.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr auto KIND = c10::DeviceType::PrivateUse1;
const c10::Device HERE(KIND, 0);
const c10::DispatchKeySet KEYS(c10::DispatchKey::PrivateUse1);
constexpr int64_t MATH = 0;  // at::SDPBackend::math

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* data = bytes ? c10::alloc_cpu(bytes) : nullptr;
    return {data, data, &c10::free_cpu, HERE};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &c10::free_cpu; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }
};
Memory memory;
REGISTER_ALLOCATOR(KIND, &memory);

struct Guard final : c10::impl::NoOpDeviceGuardImpl<KIND> {
  const c10::Stream stream{c10::Stream::DEFAULT, HERE};
  c10::Device exchangeDevice(c10::Device) const override { return HERE; }
  c10::Device getDevice() const override { return HERE; }
  c10::Stream getStream(c10::Device) const noexcept override { return stream; }
  c10::Stream getDefaultStream(c10::Device) const override { return stream; }
  c10::Stream getNewStream(c10::Device, int) const override { return stream; }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream; }
  void record(void**, const c10::Stream&, const c10::DeviceIndex,
              const c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void synchronizeEvent(void*) const override {}
  void synchronizeDevice(const c10::DeviceIndex) const override {}
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard);

struct Random final : at::CPUGeneratorImpl {
  at::Generator inner = at::detail::createCPUGenerator();
  Random() {
    device_ = HERE;
    key_set_ = KEYS;
  }
  void set_current_seed(uint64_t seed) override { inner.set_current_seed(seed); }
  uint64_t current_seed() const override { return inner.current_seed(); }
  uint64_t seed() override { return inner.seed(); }
  void set_state(const c10::TensorImpl& state) override {
    inner.unsafeGetGeneratorImpl()->set_state(state);
  }
  c10::intrusive_ptr<c10::TensorImpl> get_state() const override {
    return inner.unsafeGetGeneratorImpl()->get_state();
  }
};

struct Hooks final : at::PrivateUse1HooksInterface {
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    static const at::Generator shared(c10::make_intrusive<Random>());
    return shared;
  }
  at::Generator getNewGenerator(c10::DeviceIndex) const override {
    return at::Generator(c10::make_intrusive<Random>());
  }
  c10::Device getDeviceFromPtr(void*) const override { return HERE; }
};
const bool registered = [] {
  at::RegisterPrivateUse1HooksInterface(new Hooks());
  return true;
}();

bool capturing = false;

void capture(bool on) { capturing = on; }

void waits(const std::string& why) {
  TORCH_CHECK(!capturing, "the host would wait for the device while it captures: ", why);
}

bool is_here(const at::Tensor& tensor) { return tensor.device().type() == KIND; }

// Return the same memory as a tensor of the host.
at::Tensor on_host(const at::Tensor& tensor) {
  if (!tensor.defined() || !is_here(tensor)) return tensor;
  const auto& own = tensor.storage();
  auto storage = c10::make_intrusive<c10::StorageImpl>(
      c10::StorageImpl::use_byte_size_t(), own.nbytes(),
      c10::DataPtr(own.mutable_data(), c10::Device(c10::kCPU)), c10::GetCPUAllocator(), true);
  at::Tensor host = at::detail::make_tensor<c10::TensorImpl>(
      c10::Storage(storage), c10::DispatchKeySet(c10::DispatchKey::CPU), tensor.dtype());
  host.unsafeGetTensorImpl()->set_sizes_and_strides(tensor.sizes(), tensor.strides(),
                                                    tensor.storage_offset());
  return host;
}

at::Tensor strided(c10::IntArrayRef size, c10::IntArrayRef stride, at::ScalarType type) {
  return at::detail::empty_strided_generic(size, stride, &memory, KEYS, type);
}

// Return a copy of a tensor of the host.
at::Tensor moved(const at::Tensor& host) {
  if (!host.defined()) return host;
  const auto tensor = strided(host.sizes(), host.strides(), host.scalar_type());
  on_host(tensor).copy_(host);
  return tensor;
}

at::Tensor empty(c10::IntArrayRef size, std::optional<at::ScalarType> type,
                 std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, &memory, KEYS, c10::dtype_or_default(type), format);
}

at::Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride,
                         std::optional<at::ScalarType> type, std::optional<at::Layout>,
                         std::optional<at::Device>, std::optional<bool>) {
  return strided(size, stride, c10::dtype_or_default(type));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  if (is_here(from) != is_here(to)) waits("a copy between devices");
  on_host(to).copy_(on_host(from));
  return to;
}

const at::Tensor& resize(const at::Tensor& self, c10::SymIntArrayRef symbolic,
                         std::optional<at::MemoryFormat>) {
  auto* tensor = self.unsafeGetTensorImpl();
  tensor->set_sizes_contiguous(C10_AS_INTARRAYREF_SLOW(symbolic));
  auto* storage = self.storage().unsafeGetStorageImpl();
  const size_t bytes = (tensor->numel() + tensor->storage_offset()) * self.itemsize();
  if (bytes > storage->nbytes()) {
    auto larger = memory.allocate(bytes);
    if (storage->nbytes()) std::memcpy(larger.get(), storage->data(), storage->nbytes());
    storage->set_data_ptr(std::move(larger));
    storage->set_nbytes(bytes);
  }
  return self;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  resize(to, c10::fromIntArrayRefSlow(from.sizes()), std::nullopt);
  return copy_from(from, to, false);
}

at::Scalar item(const at::Tensor& tensor) {
  waits("a number is read");
  return on_host(tensor).item();
}

at::Tensor& set_storage(at::Tensor& self, c10::Storage source, int64_t offset,
                        c10::IntArrayRef size, c10::IntArrayRef stride) {
  auto* tensor = self.unsafeGetTensorImpl();
  tensor->set_storage_keep_dtype(std::move(source));
  const auto packed = at::detail::defaultStrides(size);
  tensor->set_sizes_and_strides(size, stride.empty() ? c10::IntArrayRef(packed) : stride, offset);
  return self;
}

at::Tensor& set_whole_storage(at::Tensor& self, c10::Storage source) {
  const std::vector<int64_t> size{static_cast<int64_t>(source.nbytes() / self.itemsize())};
  return set_storage(self, std::move(source), 0, size, {});
}

// Operations whose tensors may be on any device.
bool takes_any(const std::string& name) {
  return name == "aten::_copy_from" || name == "aten::_to_copy" || name == "aten::is_set_to";
}

// Operations whose results have shapes that depend on values.
bool has_unknown_shape(const std::string& name) {
  for (const char* part : {"nonzero", "masked_select", "unique", "bincount", "equal"})
    if (name.find(part) != std::string::npos && name.find("not_equal") == std::string::npos)
      return true;
  return name == "aten::repeat_interleave" || name == "aten::histc";
}

bool takes_indices_of_the_host(const std::string& name) {
  return name == "aten::index" || name == "aten::index_put_" || name == "aten::index_put" ||
         name == "aten::_index_put_impl_" || name == "aten::_unsafe_index";
}

// The arguments of one call, moved to the host.
class Arguments {
 public:
  std::vector<std::pair<size_t, at::Tensor>> written;  // by place, as they were given

  Arguments(const c10::FunctionSchema& schema, torch::jit::Stack& stack) : name_(schema.name()) {
    if (has_unknown_shape(name_)) waits(name_);
    const auto first = stack.size() - schema.arguments().size();
    for (size_t place = 0; place < schema.arguments().size(); ++place) {
      const auto* alias = schema.arguments()[place].alias_info();
      auto& value = stack[first + place];
      if (value.isTensor() && alias && alias->isWrite())
        written.emplace_back(place, value.toTensor());
      exempt_ = place == 1 && takes_indices_of_the_host(name_);
      value = moved_value(value);
    }
    TORCH_CHECK(!(of_host_ && of_device_) || takes_any(name_),
                "Expected all tensors to be on the same device, but found two devices in ", name_);
  }

 private:
  std::string name_;
  bool of_host_ = false, of_device_ = false, exempt_ = false;

  at::Tensor looked_at(const at::Tensor& tensor) {
    if (!tensor.defined()) return tensor;
    if (takes_indices_of_the_host(name_)) {
      if (!is_here(tensor) && tensor.dim() > 0) waits("indices of the host");
      if (exempt_ && tensor.scalar_type() == at::kBool) waits("a mask as an index");
    }
    if (is_here(tensor)) of_device_ = true;
    else if (tensor.dim() > 0 && !exempt_) of_host_ = true;
    return on_host(tensor);
  }

  c10::IValue moved_value(const c10::IValue& value) {
    if (value.isTensor()) return looked_at(value.toTensor());
    if (value.isDevice()) return c10::Device(c10::kCPU);
    if (value.isTensorList()) {
      auto tensors = value.toTensorVector();
      for (auto& tensor : tensors) tensor = looked_at(tensor);
      return c10::List<at::Tensor>(tensors);
    }
    if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> tensors;
      for (const std::optional<at::Tensor> tensor : value.toOptionalTensorList())
        tensors.push_back(tensor ? std::optional(looked_at(*tensor)) : std::nullopt);
      return tensors;
    }
    if (value.isGenerator()) {
      const auto generator = value.toGenerator();
      TORCH_CHECK(generator.device().type() == KIND, "Expected a generator of the device in ",
                  name_, ", but found one of ", generator.device());
      return static_cast<Random*>(generator.unsafeGetGeneratorImpl())->inner;
    }
    return value;
  }
};

// Return what an operation returned on the host as the device's own: the given tensor where it wrote
// into one, a copy otherwise.
at::Tensor returned(const at::Tensor& host, const c10::AliasInfo* alias,
                    const c10::FunctionSchema& schema, const Arguments& arguments) {
  if (!alias) return moved(host);
  TORCH_CHECK(alias->isWrite(), "the emulated device lacks this view: ", schema.name());
  for (const auto& [place, given] : arguments.written) {
    if (schema.arguments()[place].alias_info()->beforeSets() != alias->beforeSets()) continue;
    if (given.sizes() != host.sizes()) {
      resize(given, c10::fromIntArrayRefSlow(host.sizes()), std::nullopt);
      on_host(given).copy_(host);
    }
    return given;
  }
  return moved(host);
}

void on_the_host(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  const auto& schema = operation.schema();
  const Arguments arguments(schema, *stack);
  operation.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  const auto first = stack->size() - schema.returns().size();
  for (size_t place = 0; place < schema.returns().size(); ++place) {
    auto& value = (*stack)[first + place];
    if (value.isTensor()) {
      value = returned(value.toTensor(), schema.returns()[place].alias_info(), schema, arguments);
    } else if (value.isTensorList()) {
      auto tensors = value.toTensorVector();
      for (auto& tensor : tensors) tensor = moved(tensor);
      value = c10::List<at::Tensor>(tensors);
    }
  }
}

void check_here(std::initializer_list<at::Tensor> tensors) {
  for (const auto& tensor : tensors)
    TORCH_CHECK(!tensor.defined() || is_here(tensor),
                "Expected all tensors to be on the same device, but found two in convolution");
}

at::Tensor convolution(const at::Tensor& input, const at::Tensor& weight,
                       const std::optional<at::Tensor>& bias, c10::IntArrayRef stride,
                       c10::IntArrayRef padding, c10::IntArrayRef dilation, bool transposed,
                       c10::IntArrayRef output_padding, int64_t groups) {
  const auto added = bias.value_or(at::Tensor());
  check_here({input, weight, added});
  return moved(at::convolution(on_host(input), on_host(weight), on_host(added), stride, padding,
                               dilation, transposed, output_padding, groups));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(
    const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight,
    c10::IntArrayRef stride, c10::IntArrayRef padding, c10::IntArrayRef dilation, bool transposed,
    c10::IntArrayRef output_padding, int64_t groups, std::array<bool, 3> mask) {
  check_here({gradient, input, weight});
  const std::vector<int64_t> bias{transposed ? weight.size(1) * groups : weight.size(0)};
  auto [of_input, of_weight, of_bias] = at::convolution_backward(
      on_host(gradient), on_host(input), on_host(weight), c10::OptionalIntArrayRef(bias), stride,
      padding, dilation, transposed, output_padding, groups, mask);
  return {moved(of_input), moved(of_weight), moved(of_bias)};
}

int64_t attention(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                  const std::optional<at::Tensor>&, double, bool, std::optional<double>, bool) {
  return MATH;
}

}  // namespace

TORCH_LIBRARY(emulated, m) { m.def("capture(bool on) -> ()", capture); }

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("_copy_from", copy_from);
  m.impl("_copy_from_and_resize", copy_from_and_resize);
  m.impl("_local_scalar_dense", item);
  m.impl("resize_", resize);
  m.impl("set_.source_Storage_storage_offset", set_storage);
  m.impl("set_.source_Storage", set_whole_storage);
  m.impl("as_strided", at::native::as_strided_tensorimpl);
  m.impl("view", TORCH_FN(at::native::view));
  m.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
  m.impl("unfold", TORCH_FN(at::native::unfold));
  m.impl("convolution_overrideable", convolution);
  m.impl("convolution_backward_overrideable", convolution_backward);
  m.impl("_fused_sdp_choice", attention);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&on_the_host>());
}
