// A second device for machines without a GPU: memory of its own kind, values computed by the processor's kernels.
//
// Torch's place for a device of one's own (PrivateUse1) gets an allocator, copies and views; every other operator is
// answered from a copy in the processor's memory, after the rule of real devices: tensors of two devices do not mix,
// numbers (tensors without axes) excepted, and generators belong to a device. Torch itself refuses `numpy()`.
// Loading the library registers all of it; there is nothing to call.

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/native/Resize.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <tuple>
#include <vector>

namespace {

using at::Tensor;
using Sizes = c10::SymIntArrayRef;
using MaybeTensor = std::optional<Tensor>;
constexpr auto kind = c10::DeviceType::PrivateUse1;
const c10::DispatchKeySet keys(c10::DispatchKey::PrivateUse1);

struct Memory final : c10::Allocator {
  static void release(void* pointer) { std::free(pointer); }
  c10::DataPtr allocate(size_t bytes) override {
    void* pointer = bytes ? std::malloc(bytes) : nullptr;
    return {pointer, pointer, &release, c10::Device(kind, 0)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};
Memory memory;
REGISTER_ALLOCATOR(kind, &memory)

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kind; }
  c10::Device exchangeDevice(c10::Device) const override { return {kind, 0}; }
  c10::Device getDevice() const override { return {kind, 0}; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device device) const override { return c10::Stream(c10::Stream::DEFAULT, device); }
  c10::Stream exchangeStream(c10::Stream stream) const override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
};
const bool hooked = (at::RegisterPrivateUse1HooksInterface(new Hooks), true);

Tensor near(const Tensor& there) {
  return there.is_cpu() ? there : at::from_blob(there.data_ptr(), there.sizes(), there.strides(),
                                                there.options().device(at::kCPU));
}

Tensor empty(Sizes sizes, std::optional<at::ScalarType> type, std::optional<at::Layout>, std::optional<at::Device>,
             std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(C10_AS_INTARRAYREF_SLOW(sizes), &memory, keys, type.value_or(at::kFloat), format);
}

Tensor empty_strided(Sizes sizes, Sizes strides, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                     std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(C10_AS_INTARRAYREF_SLOW(sizes), C10_AS_INTARRAYREF_SLOW(strides), &memory,
                                           keys, type.value_or(at::kFloat));
}

Tensor copy_from(const Tensor& from, const Tensor& to, bool) {
  near(to).copy_(near(from));
  return to;
}

Tensor copy_from_and_resize(const Tensor& from, const Tensor& to) {
  at::native::resize_(to, from.sizes(), std::nullopt);
  return copy_from(from, to, false);
}

const Tensor& resize(const Tensor& tensor, Sizes sizes, std::optional<at::MemoryFormat> format) {
  return at::native::resize_(tensor, C10_AS_INTARRAYREF_SLOW(sizes), format);
}

Tensor as_strided(const Tensor& tensor, Sizes sizes, Sizes strides, std::optional<c10::SymInt> offset) {
  const auto start = offset ? std::optional<int64_t>(offset->expect_int()) : std::nullopt;
  return at::native::as_strided_tensorimpl(tensor, C10_AS_INTARRAYREF_SLOW(sizes), C10_AS_INTARRAYREF_SLOW(strides),
                                           start);
}

Tensor view(const Tensor& tensor, Sizes sizes) { return at::native::view(tensor, C10_AS_INTARRAYREF_SLOW(sizes)); }

Tensor reshape_alias(const Tensor& tensor, Sizes sizes, Sizes strides) {
  return at::native::_reshape_alias(tensor, C10_AS_INTARRAYREF_SLOW(sizes), C10_AS_INTARRAYREF_SLOW(strides));
}

c10::Scalar number(const Tensor& tensor) { return near(tensor).item(); }

Tensor convolution(const Tensor& input, const Tensor& weight, const MaybeTensor& bias, Sizes stride, Sizes padding,
                   Sizes dilation, bool transposed, Sizes output_padding, c10::SymInt groups) {
  const auto added = bias ? MaybeTensor(near(*bias)) : std::nullopt;
  return at::convolution_symint(near(input), near(weight), added, stride, padding, dilation, transposed,
                                output_padding, groups).to(input.device());
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(const Tensor& back, const Tensor& input, const Tensor& weight,
                                                        Sizes stride, Sizes padding, Sizes dilation, bool transposed,
                                                        Sizes output_padding, c10::SymInt groups,
                                                        std::array<bool, 3> wanted) {
  const std::vector<c10::SymInt> bias{weight.sym_size(0)};
  const auto found = at::convolution_backward_symint(near(back), near(input), near(weight), Sizes(bias), stride,
                                                     padding, dilation, transposed, output_padding, groups, wanted);
  const auto there = [&](const Tensor& one) { return one.defined() ? one.to(input.device()) : one; };
  return {there(std::get<0>(found)), there(std::get<1>(found)), there(std::get<2>(found))};
}

void answer(const c10::OperatorHandle& operation, torch::jit::Stack* stack) {
  const auto check = [&](const Tensor& tensor) {
    TORCH_CHECK(!tensor.defined() || !tensor.is_cpu() || tensor.dim() == 0,
                "Expected all tensors to be on the same device: ", operation.schema().name());
  };
  for (const auto& argument : torch::jit::last(*stack, operation.schema().arguments().size())) {
    TORCH_CHECK(!argument.isGenerator(), "Expected a generator of the same device: ", operation.schema().name());
    if (argument.isTensor()) check(argument.toTensor());
    if (argument.isTensorList())
      for (const Tensor& tensor : argument.toTensorVector()) check(tensor);
  }
  at::native::cpu_fallback(operation, stack);
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", empty);
  library.impl("empty_strided", empty_strided);
  library.impl("_copy_from", copy_from);
  library.impl("_copy_from_and_resize", copy_from_and_resize);
  library.impl("resize_", resize);
  library.impl("as_strided", as_strided);
  library.impl("view", view);
  library.impl("_reshape_alias", reshape_alias);
  library.impl("_local_scalar_dense", number);
  library.impl("convolution_overrideable", convolution);
  library.impl("convolution_backward_overrideable", convolution_backward);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&answer>());
}

}  // namespace
