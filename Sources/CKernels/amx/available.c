// Whether tiles can be used.
#include "kernels.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool find(void) {
    unsigned a, b, c, d;
    const unsigned tilesAndProducts = 1u << 24 | 1u << 22;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & tilesAndProducts) != tilesAndProducts)
        return false;
    // Linux wants to be asked before a process keeps tiles, whose registers are 8 KiB a thread.
    enum { requestPermission = 0x1023, tileData = 18 };
    return syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
}

bool apus_has_amx(void) {
    // Whoever asks at the same time finds the same.
    static int known = -1;
    int found = __atomic_load_n(&known, __ATOMIC_RELAXED);
    if (found < 0) {
        found = find();
        __atomic_store_n(&known, found, __ATOMIC_RELAXED);
    }
    return found;
}
#else
bool apus_has_amx(void) { return false; }
#endif
