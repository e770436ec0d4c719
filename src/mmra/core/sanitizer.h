#pragma once

/// 1 where this is compiled for AddressSanitizer, else 0: GCC defines a macro, clang a feature.
#if defined(__SANITIZE_ADDRESS__)
#define MMRA_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MMRA_ADDRESS_SANITIZER 1
#endif
#endif
#ifndef MMRA_ADDRESS_SANITIZER
#define MMRA_ADDRESS_SANITIZER 0
#endif
