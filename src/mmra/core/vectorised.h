#pragma once

/// Before a function: compiled for processors with and without AVX2 and FMA; the loader takes the
/// best one that is there. By level: a name such as `arch=haswell` is asked of the processor's
/// model, and then no other one, however new, gets the fast code. Where the compiler cannot do that
/// (clang, which only checks and fuzzes), it has no effect.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MMRA_VECTORISED __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define MMRA_VECTORISED
#endif
