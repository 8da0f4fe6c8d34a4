#include <process.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <windows.h>

static atomic_int stop;
static atomic_int running;
static atomic_int destroyed;
static uintptr_t thread;
static HANDLE system_thread;
static INIT_ONCE slot_once = INIT_ONCE_STATIC_INIT;
static DWORD slot;

/* Waits until another thread has set the flag. */
static void wait_for(atomic_int *flag) {
    while (!atomic_load(flag)) Sleep(1);
}

static void run_until_stop(void) {
    atomic_store(&running, 1);
    wait_for(&stop);
}

static void reset(void) {
    atomic_store(&stop, 0);
    atomic_store(&running, 0);
}

static unsigned __stdcall run(void *argument) {
    (void)argument;
    run_until_stop();
    return 0;
}

int fixture_start(void) {
    reset();
    thread = _beginthreadex(NULL, 0, run, NULL, 0, NULL);
    if (thread) wait_for(&running);
    return thread == 0;
}

int fixture_stop_and_join(void) {
    atomic_store(&stop, 1);
    DWORD result = WaitForSingleObject((HANDLE)thread, INFINITE);
    CloseHandle((HANDLE)thread);
    return result != WAIT_OBJECT_0;
}

static DWORD WINAPI run_by_system(void *argument) {
    (void)argument;
    run_until_stop();
    return (DWORD)-7;
}

int fixture_start_other(void) {
    reset();
    system_thread = CreateThread(NULL, 0, run_by_system, NULL, 0, NULL);
    if (system_thread) wait_for(&running);
    return system_thread == NULL;
}

int fixture_stop_and_join_other(void) {
    DWORD result = 0;
    atomic_store(&stop, 1);
    WaitForSingleObject(system_thread, INFINITE);
    GetExitCodeThread(system_thread, &result);
    CloseHandle(system_thread);
    return (int)result;
}

static void WINAPI destroy(void *value) {
    free(value);
    atomic_fetch_add(&destroyed, 1);
}

static BOOL CALLBACK make_slot(PINIT_ONCE once, void *argument, void **context) {
    (void)once;
    (void)argument;
    (void)context;
    slot = FlsAlloc(destroy);
    return slot != FLS_OUT_OF_INDEXES;
}

static unsigned __stdcall run_and_exit(void *argument) {
    (void)argument;
    InitOnceExecuteOnce(&slot_once, make_slot, NULL, NULL);
    FlsSetValue(slot, malloc(16));
    _endthreadex(0);
    return 0;
}

int fixture_start_exiting(void) {
    uintptr_t exiting = _beginthreadex(NULL, 0, run_and_exit, NULL, 0, NULL);
    return exiting == 0 || !CloseHandle((HANDLE)exiting);
}

int fixture_destroyed(void) {
    return atomic_load(&destroyed);
}
