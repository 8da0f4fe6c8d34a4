#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <threads.h>
#include <time.h>

static atomic_int stop;
static atomic_int running;
static atomic_int destroyed;
static pthread_t thread;
static thrd_t c11_thread;
static pthread_key_t key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

/* Waits until another thread has set the flag. */
static void wait_for(atomic_int *flag) {
    while (!atomic_load(flag)) {
        struct timespec millisecond = {0, 1000000};
        nanosleep(&millisecond, NULL);
    }
}

static void run_until_stop(void) {
    atomic_store(&running, 1);
    wait_for(&stop);
}

static void reset(void) {
    atomic_store(&stop, 0);
    atomic_store(&running, 0);
}

static void *run(void *argument) {
    run_until_stop();
    return argument;
}

int fixture_start(void) {
    reset();
    int error = pthread_create(&thread, NULL, run, NULL);
    if (!error) {
        wait_for(&running);
    }
    return error;
}

int fixture_stop_and_join(void) {
    atomic_store(&stop, 1);
    return pthread_join(thread, NULL);
}

static int run_c11(void *argument) {
    (void)argument;
    run_until_stop();
    return -7;
}

int fixture_start_other(void) {
    reset();
    int error = thrd_create(&c11_thread, run_c11, NULL);
    if (error == thrd_success) {
        wait_for(&running);
    }
    return error;
}

int fixture_stop_and_join_other(void) {
    int result = 0;
    atomic_store(&stop, 1);
    thrd_join(c11_thread, &result);
    return result;
}

static void destroy(void *value) {
    free(value);
    atomic_fetch_add(&destroyed, 1);
}

static void make_key(void) {
    pthread_key_create(&key, destroy);
}

static void *run_and_exit(void *argument) {
    pthread_once(&key_once, make_key);
    pthread_setspecific(key, malloc(16));
    pthread_exit(argument);
}

int fixture_start_exiting(void) {
    pthread_t exiting;
    int error = pthread_create(&exiting, NULL, run_and_exit, NULL);
    return error ? error : pthread_detach(exiting);
}

int fixture_destroyed(void) {
    return atomic_load(&destroyed);
}
