#pragma once

/// Before a function: compiled for processors with and without AVX2 and FMA; the loader takes the
/// best one that is there. Where the compiler cannot do that (clang, which only checks and fuzzes),
/// it has no effect.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define MMRA_VECTORISED __attribute__((target_clones("arch=haswell", "default")))
#else
#define MMRA_VECTORISED
#endif
