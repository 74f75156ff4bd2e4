// Fibers: stacks with a guard page each, and switches between them.
//
// A fiber takes a stack when it first runs and gives it back when it ends, last in, first out:
// threads that never wait all run on one warm stack.
#pragma once
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace emu {

struct Fiber {
#if defined(__x86_64__)
  void* stack_pointer;
#else
  ucontext_t context;
#endif
  unsigned char* stack;  // lowest usable byte; null: the scheduler's own
  size_t bytes;
  bool started;
#if defined(__SANITIZE_ADDRESS__)
  void* fake_stack;
#endif
};

constexpr size_t kStackBytes = 128 << 10, kGuardBytes = 4096;
constexpr unsigned kMaxFibers = 1024;

static unsigned char* stack_area;
static unsigned free_stacks[kMaxFibers], n_free_stacks;
static void (*fiber_body)();
static void (*fiber_last)();
static Fiber *fiber_self, *fiber_home;

#if defined(__x86_64__)
// Saves what a call must preserve on the stack, and the stack's pointer where `from` points to.
extern "C" void emu_switch(void** from, void* to);
asm(".text\n"
    ".globl emu_switch\n.hidden emu_switch\n.type emu_switch,@function\n"
    "emu_switch:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n"
    ".size emu_switch, .-emu_switch\n");
#endif

static inline void fiber_switch(Fiber& from, Fiber& to, bool ends = false) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(ends ? nullptr : &from.fake_stack, to.stack, to.bytes);
#else
  (void)ends;
#endif
#if defined(__x86_64__)
  emu_switch(&from.stack_pointer, to.stack_pointer);
#else
  swapcontext(&from.context, &to.context);
#endif
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom;
  size_t size;
  __sanitizer_finish_switch_fiber(from.fake_stack, &bottom, &size);
#endif
}

static void fiber_entry() {
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom;
  size_t size;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
  fiber_home->stack = static_cast<unsigned char*>(const_cast<void*>(bottom));
  fiber_home->bytes = size;
#endif
  fiber_body();
  Fiber* self = fiber_self;
  fiber_last();
  free_stacks[n_free_stacks++] =
      static_cast<unsigned>((self->stack - stack_area) / (kStackBytes + kGuardBytes));
  fiber_switch(*self, *fiber_home, true);
  abort();
}

static void fiber_start(Fiber& fiber) {
  const unsigned i = free_stacks[--n_free_stacks];
  fiber.stack = stack_area + i * (kStackBytes + kGuardBytes) + kGuardBytes;
  // Stacks begin at different lines of a page, so that they do not share the sets of a cache.
  unsigned char* top = fiber.stack + kStackBytes - i * 320 % 4096 / 16 * 16;
  fiber.bytes = kStackBytes;
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(fiber.stack, kStackBytes);
  fiber.fake_stack = nullptr;
#endif
#if defined(__x86_64__)
  void** frame = reinterpret_cast<void**>(top) - 8;
  for (int k = 0; k < 8; ++k) frame[k] = nullptr;
  frame[6] = reinterpret_cast<void*>(&fiber_entry);  // six registers, then where to return to
  fiber.stack_pointer = frame;
#else
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack;
  fiber.context.uc_stack.ss_size = static_cast<size_t>(top - fiber.stack);
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, fiber_entry, 0);
#endif
  fiber.started = true;
}

// Runs `fiber` until it switches back or ends: `body`, then `last`.
static inline void fiber_resume(Fiber& home, Fiber& fiber, void (*body)(), void (*last)()) {
  if (!fiber.started) fiber_start(fiber);
  fiber_body = body;
  fiber_last = last;
  fiber_self = &fiber;
  fiber_home = &home;
  fiber_switch(home, fiber);
}

// Takes back the stacks of all fibers, also of those that a failure has left in their midst.
static void fiber_begin_launch() {
  n_free_stacks = kMaxFibers;
  for (unsigned i = 0; i < kMaxFibers; ++i) free_stacks[i] = kMaxFibers - 1 - i;
  if (stack_area != nullptr) return;
  const size_t bytes = kMaxFibers * (kStackBytes + kGuardBytes);
  stack_area = static_cast<unsigned char*>(mmap(
      nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  for (unsigned i = 0; i < kMaxFibers; ++i) {
    mprotect(stack_area + i * (kStackBytes + kGuardBytes), kGuardBytes, PROT_NONE);
  }
}

}  // namespace emu
