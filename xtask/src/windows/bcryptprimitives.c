/* Wine 8.0 has no bcryptprimitives.dll, from which std imports ProcessPrng. `cargo xtask test-matrix --platform windows`
 * builds this one and puts it beside the runner. */
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T len)
{
    while (len > 0) {
        ULONG part = len > 0x10000000 ? 0x10000000 : (ULONG)len;
        if (!SystemFunction036(data, part)) return FALSE;
        data += part; len -= part;
    }
    return TRUE;
}
