#pragma once

namespace mmra {

/// From here on blocks of 4 MiB or more are the system's own pages, and go back to it when they are
/// freed. glibc by itself keeps such blocks in a heap for each thread once one has been freed, and
/// what several threads use in turns (a transformer's states) is then held several times. Each such
/// block costs page faults, so that this is for work that is long beside its allocations. For the
/// whole process; does nothing where the C library is another.
void return_large_blocks_to_system() noexcept;

/// The opposite, for work that takes and frees the same blocks again and again (a training step):
/// what is freed stays with the process, blocks up to 32 MiB at least. Without it every step's page
/// faults were measured to take a fifth of its time. For the whole process.
void keep_freed_blocks() noexcept;

}  // namespace mmra
