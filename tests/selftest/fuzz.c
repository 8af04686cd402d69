// SPDX-License-Identifier: GPL-2.0
/*
 * Threads that do anything to a few recordable VMs, in any order and at the same
 * time: ioctls of VMs, vCPUs and the device, mappings, rings, KVM_RUN.
 *
 *	samsara_fuzz [--seed N] [--threads N] [--ops N] [--seconds N]
 *
 * Which operations each thread does follows from the seed; what they meet does not.
 * Ends after so many operations (of all threads) or seconds, prints how
 * often each was done and with what result, and "ok" or "not ok".  A thread that
 * does not come back from an operation is a failure.  Whether the kernel is healthy
 * is for the caller to see.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define MAX_THREADS	16
#define MAX_ERRNO	134
#define TICK_MS		10
#define SLOW_MS		2000
#define STUCK_MS	120000

static const struct kind {
	const char *name;
	unsigned int weight;
	int (*fn)(struct rng *r, struct target *t);
	bool waits;		/* it may not come back without a signal */
} kinds[] = {
	{ "build", 12, op_build, false },
	{ "close", 6, op_close, false },
	{ "run", 60, op_run, true },
	{ "scribble-run", 12, op_scribble_run, false },
	{ "vcpu-state", 20, op_state, false },
	{ "vcpu-ioctl", 15, op_vcpu_ioctl, false },
	{ "vm-ioctl", 15, op_vm_ioctl, false },
	{ "create-vcpu", 6, op_create_vcpu, false },
	{ "memory-slot", 4, op_memory, false },
	{ "config", 4, op_config, false },
	{ "start", 8, op_start, false },
	{ "stop", 4, op_stop, false },
	{ "wake", 8, op_wake, false },
	{ "status", 8, op_status, false },
	{ "tunable", 6, op_tunable, false },
	{ "attribute", 10, op_attr, false },
	{ "dma", 15, op_dma, true },
	{ "map", 6, op_map, false },
	{ "scribble-header", 3, op_scribble_header, false },
	{ "scribble-data", 5, op_scribble_data, false },
	{ "drain", 30, op_drain, false },
	{ "feed", 30, op_feed, false },
	{ "guest-memory", 4, op_guest_memory, false },
	{ "fork", 1, op_fork, false },
};

static const struct kind *choose(struct rng *r)
{
	unsigned int sum = 0, n;
	size_t k;

	for (k = 0; k < NR_OF(kinds); k++)
		sum += kinds[k].weight;
	n = below(r, sum);
	for (k = 0; n >= kinds[k].weight; k++)
		n -= kinds[k].weight;
	return &kinds[k];
}

unsigned int nr_threads = 4;
__thread unsigned int thread_nr;

static struct fuzzer {
	pthread_t thread;
	pid_t tid;
	unsigned int nr;
	unsigned long long done;
	const struct kind *doing;
	unsigned long results[NR_OF(kinds)][MAX_ERRNO];	/* 0: it worked */
	bool ended;
	/* Last seen by who looks whether it goes on. */
	unsigned long long seen, seen_ms;
} fuzzers[MAX_THREADS];

static unsigned long long seed, ops_per_thread;
static bool quit;
static __thread sigjmp_buf way_out;
static __thread bool may_fault;

/* The mapping was taken away: then the operation is over. */
static void on_fault(int sig)
{
	if (may_fault)
		siglongjmp(way_out, 1);
	signal(sig, SIG_DFL);
}

static int outcome_of(const struct kind *kind, struct rng *r, struct target *t)
{
	int r2;

	if (sigsetjmp(way_out, 1)) {
		may_fault = false;
		return EFAULT;
	}
	may_fault = true;
	r2 = kind->fn(r, t);
	may_fault = false;
	return r2 < 0 ? errno : 0;
}

static void *fuzz(void *p)
{
	struct fuzzer *f = p;
	unsigned long long n;
	int outcome;

	f->tid = syscall(SYS_gettid);
	thread_nr = f->nr;
	for (n = 0; n < ops_per_thread && !__atomic_load_n(&quit, __ATOMIC_ACQUIRE); n++) {
		struct rng r = {
			.s = seed << 32 ^ (unsigned long long)f->nr << 56 ^ n * 0x632be59bd9b4e019,
		};
		const struct kind *kind = choose(&r);
		struct target *t = &targets[below(&r, NR_VMS)];

		f->doing = kind;
		outcome = outcome_of(kind, &r, t);
		f->results[kind - kinds][outcome < MAX_ERRNO ? outcome : EINVAL]++;
		__atomic_store_n(&f->done, n + 1, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&f->ended, true, __ATOMIC_RELEASE);
	return NULL;
}

static unsigned long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

static void show_file(const char *path)
{
	char line[256];
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f))
		printf("    %s", line);
	if (f)
		fclose(f);
}

static void stuck(struct fuzzer *f)
{
	char path[64];

	printf("not ok device-fuzz: thread %u does not come back from %s after operation %llu, seed %llu\n",
	       f->nr, f->doing->name, f->done, seed);
	snprintf(path, sizeof(path), "/proc/self/task/%d/stack", f->tid);
	show_file(path);
	_exit(1);
}

/*
 * A signal ends what waits.  Others get one only if it takes them long: KVM can't make
 * a VM when there are too many.
 */
static void look_after(struct fuzzer *f)
{
	unsigned long long done = __atomic_load_n(&f->done, __ATOMIC_ACQUIRE), for_ms;
	const struct kind *doing = __atomic_load_n(&f->doing, __ATOMIC_RELAXED);

	if (done != f->seen || !f->seen_ms) {
		f->seen = done;
		f->seen_ms = now_ms();
		return;
	}
	for_ms = now_ms() - f->seen_ms;
	if (for_ms > STUCK_MS)
		stuck(f);
	if ((doing && doing->waits) || for_ms > SLOW_MS)
		pthread_kill(f->thread, SIGUSR1);
}

/* Returns when all threads have ended. */
static void watch(unsigned long long until_ms)
{
	unsigned int i, ended;

	do {
		usleep(TICK_MS * 1000);
		if (now_ms() >= until_ms)
			__atomic_store_n(&quit, true, __ATOMIC_RELEASE);
		for (i = ended = 0; i < nr_threads; i++) {
			if (__atomic_load_n(&fuzzers[i].ended, __ATOMIC_ACQUIRE))
				ended++;
			else
				look_after(&fuzzers[i]);
		}
	} while (ended < nr_threads);
}

static const char * const state_names[NR_STATES] = {
	"idle", "recording", "replaying", "stopped", "diverged", "failed",
};

static unsigned long long print_results(void)
{
	unsigned long long total = 0;
	unsigned int i, e;
	size_t k;

	for (k = 0; k < NR_OF(kinds); k++) {
		unsigned long all[MAX_ERRNO] = {}, sum = 0;

		for (i = 0; i < nr_threads; i++)
			for (e = 0; e < MAX_ERRNO; e++) {
				all[e] += fuzzers[i].results[k][e];
				sum += fuzzers[i].results[k][e];
			}
		printf("    %-16s %8lu: ok %lu", kinds[k].name, sum, all[0]);
		for (e = 1; e < MAX_ERRNO; e++)
			if (all[e])
				printf(", %s %lu", strerrorname_np(e), all[e]);
		putchar('\n');
		total += sum;
	}
	printf("    states seen:");
	for (k = 0; k < NR_STATES; k++)
		printf(" %s %lu", state_names[k], states_seen[k]);
	putchar('\n');
	return total;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	unsigned long long ops = 100000, seconds = 3600, start;
	unsigned int i;

	for (i = 1; i + 1 < (unsigned int)argc; i += 2) {
		unsigned long long v = strtoull(argv[i + 1], NULL, 0);

		if (!strcmp(argv[i], "--seed"))
			seed = v;
		else if (!strcmp(argv[i], "--threads"))
			nr_threads = v;
		else if (!strcmp(argv[i], "--ops"))
			ops = v;
		else if (!strcmp(argv[i], "--seconds"))
			seconds = v;
		else
			return 2;
	}
	if (i != (unsigned int)argc || !nr_threads || nr_threads > MAX_THREADS)
		return 2;
	vmm_init();
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	for (i = 0; i <= NR_VCPUS; i++)
		init_log(&last_log[i]);
	for (i = 0; i < NR_VMS; i++)
		init_target(&targets[i]);

	printf("seed %llu, %u threads\n", seed, nr_threads);
	ops_per_thread = ops / nr_threads;
	start = now_ms();
	for (i = 0; i < nr_threads; i++) {
		fuzzers[i].nr = i;
		pthread_create(&fuzzers[i].thread, NULL, fuzz, &fuzzers[i]);
	}
	watch(start + seconds * 1000);
	for (i = 0; i < NR_VMS; i++)
		close_target(&targets[i]);
	printf("ok device-fuzz %llu operations in %llu s, seed %llu\n", print_results(),
	       (now_ms() - start) / 1000, seed);
	return 0;
}
