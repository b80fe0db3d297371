// Which form runs: the best that this processor has, THINOUT_CPU_ISA, or what a test has set.
#include <atomic>
#include <cstdlib>
#include <cstring>

#include "dispatch.h"
#include "dropout.h"

namespace thinout {
namespace {

#if defined(__x86_64__) || defined(__i386__)
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"); }
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
}
#else
bool has_avx2() { return false; }
bool has_avx512() { return false; }
#endif
bool always() { return true; }

struct Form {
  const char* name;
  bool (*supported)();
  const Kernels* (*kernels)();
};
// Best first: a name that cannot be had falls to the next one below.
constexpr Form kForms[] = {
    {"avx512", has_avx512, avx512_kernels},
    {"avx2", has_avx2, avx2_kernels},
    {"neon", always, neon_kernels},
    {"portable", always, portable_kernels},
};

const Kernels* best_from(const char* name) {
  const Form* start = kForms;
  for (const Form& form : kForms) {
    if (name && std::strcmp(form.name, name) == 0) start = &form;
  }
  for (const Form* form = start; form != kForms + 3; ++form) {
    if (form->kernels() && form->supported()) return form->kernels();
  }
  return portable_kernels();
}

std::atomic<const Kernels*> in_force{nullptr};

}  // namespace

const Kernels& kernels() {
  const Kernels* chosen = in_force.load(std::memory_order_relaxed);
  if (!chosen) {  // a race here stores the same pointer twice
    chosen = best_from(std::getenv("THINOUT_CPU_ISA"));
    in_force.store(chosen, std::memory_order_relaxed);
  }
  return *chosen;
}

}  // namespace thinout

extern "C" {

const char* thinout_isa(void) { return thinout::kernels().name; }

const char* thinout_isa_available(void) {
  static char names[64];  // the text is the same whoever writes it, so a race is harmless
  char text[64] = "";
  for (const thinout::Form& form : thinout::kForms) {
    if (!form.kernels() || !form.supported()) continue;
    if (text[0]) std::strcat(text, ",");
    std::strcat(text, form.name);
  }
  std::memcpy(names, text, sizeof names);
  return names;
}

int thinout_set_isa(const char* name) {
  for (const thinout::Form& form : thinout::kForms) {
    if (!name || std::strcmp(form.name, name) != 0 || !form.kernels() || !form.supported()) continue;
    thinout::in_force.store(form.kernels());
    return THINOUT_OK;
  }
  return THINOUT_BAD_ISA;
}

}  // extern "C"
