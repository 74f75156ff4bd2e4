// Signals while a kernel runs: what would end the process ends the launch, with a message.
#pragma once
#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "state.h"

namespace emu {
namespace {

sigjmp_buf launched;  // where a signal goes on
constexpr int kFaults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
constexpr int kFaultCount = sizeof kFaults / sizeof kFaults[0];
struct sigaction before[kFaultCount], before_timer;
pid_t launching_thread;

int timer_signal() { return SIGRTMIN + 7; }

void on_signal(int number, siginfo_t* info, void* context) {
  if (!in_launch || static_cast<pid_t>(syscall(SYS_gettid)) != launching_thread) {
    if (number == timer_signal()) return;
    for (int i = 0; i < kFaultCount; ++i) {  // not ours: as if this handler were not there
      if (kFaults[i] == number) sigaction(number, &before[i], nullptr);
    }
    return;
  }
  char what[256];
  if (number == timer_signal()) {
    snprintf(what, sizeof what, "does not end (time limit)");
  } else {
    unsigned long long at = 0;
#if defined(__x86_64__)
    at = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    at = static_cast<ucontext_t*>(context)->uc_mcontext.pc;
#endif
    Dl_info library = {};
    dladdr(reinterpret_cast<void*>(at), &library);
    const char* name = number == SIGILL   ? "misaligned access or index out of bounds"
                       : number == SIGFPE ? "integer division by zero"
                                          : "illegal memory access";
    snprintf(what, sizeof what, "%s (signal %d, address %p) [code +0x%llx]", name, number,
             info->si_addr, at - reinterpret_cast<unsigned long long>(library.dli_fbase));
  }
  set_failure(running, what, {nullptr, 0});
  siglongjmp(launched, 1);
}

struct Guards {
  stack_t stack, old_stack;
  timer_t timer;
  bool has_timer;
};

unsigned char signal_stack[64 << 10];
Guards guards;

void begin_guards(double seconds) {
  launching_thread = static_cast<pid_t>(syscall(SYS_gettid));
  guards.stack = {};
  guards.stack.ss_sp = signal_stack;
  guards.stack.ss_size = sizeof signal_stack;
  sigaltstack(&guards.stack, &guards.old_stack);
  struct sigaction action = {};
  action.sa_sigaction = on_signal;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
#if !defined(__SANITIZE_ADDRESS__)  // its own reports say more
  for (int i = 0; i < kFaultCount; ++i) sigaction(kFaults[i], &action, &before[i]);
#endif
  sigaction(timer_signal(), &action, &before_timer);
  struct sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = timer_signal();
  event._sigev_un._tid = launching_thread;
  guards.has_timer = timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &guards.timer) == 0;
  if (guards.has_timer) {
    struct itimerspec limit = {};
    limit.it_value.tv_sec = static_cast<time_t>(seconds);
    limit.it_value.tv_nsec =
        static_cast<long>((seconds - static_cast<double>(limit.it_value.tv_sec)) * 1e9);
    timer_settime(guards.timer, 0, &limit, nullptr);
  }
}

void end_guards() {
  if (guards.has_timer) timer_delete(guards.timer);
  sigaction(timer_signal(), &before_timer, nullptr);
#if !defined(__SANITIZE_ADDRESS__)
  for (int i = 0; i < kFaultCount; ++i) sigaction(kFaults[i], &before[i], nullptr);
#endif
  sigaltstack(&guards.old_stack, nullptr);
}

}  // namespace
}  // namespace emu
