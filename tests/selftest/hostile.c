// SPDX-License-Identifier: GPL-2.0
/*
 * What a hostile user of the kernel interface may try.  Each case runs in a process
 * of its own; the kernel has to refuse, fail or go on, and to stay healthy.
 *
 *	samsara_hostile [--list] [NAME]...
 *
 * Prints "ok NAME ...", "not ok NAME: reason" or "skip NAME: reason" for each case;
 * exit status 0 if none failed.  HOSTILE_LIMIT: seconds for one case, default 60.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hostile.h"

#define STATUS_SKIP	77
#define LEAVE_MS	10000
#define READY_MS	60000	/* under a kernel that looks for mistakes, too */
#define KILL_MS		10000

static const struct hostile_case * const groups[] = {
	abi_cases, start_cases, log_cases, memory_cases, map_cases, state_cases, again_cases, pause_cases,
	debug_cases,
};

/* Shared with the process that runs the case. */
static char *text;

static void say(const char *fmt, va_list ap)
{
	vsnprintf(text, DIE_TEXT_BYTES, fmt, ap);
}

void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	_exit(1);
}

void skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	_exit(STATUS_SKIP);
}

void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

void must_fail(int r, int wanted, const char *what)
{
	if (r >= 0)
		fail("%s worked, instead of: %s", what, strerror(wanted));
	if (errno != wanted)
		fail("%s: %s, instead of: %s", what, strerror(errno), strerror(wanted));
}

void must_work(int r, const char *what)
{
	if (r < 0)
		fail("%s: %s", what, strerror(errno));
}

unsigned long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ull + ts.tv_nsec / 1000000;
}

/* Work that may hang, in a thread that is then left behind. */
struct attempt {
	void (*fn)(struct vm *vm);
	struct vm *vm;
	bool done;
};

static void *attempt_thread(void *p)
{
	struct attempt *a = p;

	a->fn(a->vm);
	__atomic_store_n(&a->done, true, __ATOMIC_RELEASE);
	return NULL;
}

static void within_limit(void (*fn)(struct vm *vm), struct vm *vm, const char *what)
{
	struct attempt a = { .fn = fn, .vm = vm };
	pthread_t thread;

	pthread_create(&thread, NULL, attempt_thread, &a);
	if (!wait_until(__atomic_load_n(&a.done, __ATOMIC_ACQUIRE), LEAVE_MS))
		fail("%s hangs", what);
	pthread_join(thread, NULL);
}

static void leave_all(struct vm *vm)
{
	vm_interrupt(vm);
	vm_stop_serving(vm);
}

void leave(struct vm *vm, const char *what)
{
	char buf[128];

	snprintf(buf, sizeof(buf), "%s: KVM_RUN", what);
	within_limit(leave_all, vm, buf);
}

static void stop_it(struct vm *vm)
{
	must_work(vm_ctrl(vm, KVM_SAMSARA_CTRL_STOP), "STOP");
}

void stop(struct vm *vm, struct kvm_samsara_status *st, const char *what)
{
	char buf[128];

	snprintf(buf, sizeof(buf), "%s: STOP", what);
	within_limit(stop_it, vm, buf);
	vm_get_status(vm, st);
}

static int ready_fd = -1;

void ready(void)
{
	must_work(write(ready_fd, "r", 1), "report to the parent");
}

static bool gone(pid_t pid, int *status)
{
	return waitpid(pid, status, WNOHANG) == pid;
}

static pid_t fork_off(void (*fn)(const void *arg), const void *arg)
{
	pid_t pid = fork();

	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (!pid) {
		fn(arg);
		_exit(0);
	}
	return pid;
}

void must_die(void (*fn)(const void *arg), const void *arg, const char *what)
{
	struct pollfd pfd;
	int pipes[2], status;
	pid_t pid;

	must_work(pipe(pipes), "pipe");
	ready_fd = pipes[1];
	pid = fork_off(fn, arg);
	close(pipes[1]);
	pfd = (struct pollfd) { .fd = pipes[0], .events = POLLIN };
	if (poll(&pfd, 1, READY_MS) != 1 || !(pfd.revents & POLLIN)) {
		if (gone(pid, &status))
			_exit(1);	/* it has said why */
		fail("%s: does not come to the point", what);
	}
	close(pipes[0]);
	usleep(200000);
	kill(pid, SIGKILL);
	if (!wait_until(gone(pid, &status), KILL_MS))
		fail("%s: still there %d s after SIGKILL", what, KILL_MS / 1000);
}

void in_child(void (*fn)(const void *arg), const void *arg, const char *what)
{
	pid_t pid = fork_off(fn, arg);
	int status;

	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid: %s", strerror(errno));
	if (WIFSIGNALED(status))
		fail("%s: killed by signal %d", what, WTERMSIG(status));
	if (status)
		_exit(WEXITSTATUS(status));
}

static void must_end_well(struct vm *vm, const struct kvm_samsara_status *st, const char *what)
{
	int i;

	if (st->state == KVM_SAMSARA_STATE_DIVERGED)
		fail("%s diverged: commit %llu vcpu %d field %u expected %llx got %llx", what,
		     st->div_commit, st->div_vcpu, st->div_field, st->div_expected, st->div_got);
	if (st->state != KVM_SAMSARA_STATE_STOPPED)
		fail("%s: state %u error %d", what, st->state, st->error);
	for (i = 0; i < vm->setup.nr_vcpus; i++)
		if (vm->outcome[i] != KVM_EXIT_IO && vm->outcome[i] != KVM_EXIT_SAMSARA)
			fail("%s: vcpu %d: exit reason %d", what, i, vm->outcome[i]);
}

static struct kvm_samsara_status replay_of(const struct vm *vm,
					   const struct kvm_samsara_status *rec,
					   unsigned int mode)
{
	struct vm_setup again = vm->setup;
	struct kvm_samsara_status rep;
	struct vm vm2;

	again.mode = mode;
	vm_create_configured(&vm2, &again);
	vm2.stream = vm->stream;
	vm_start(&vm2);
	vm_run(&vm2, &rep);
	must_end_well(&vm2, &rep, "replay");
	if (rep.commits != rec->commits)
		fail("replay, mode %u: %llu commits, recorded %llu", mode, rep.commits, rec->commits);
	if (memcmp(vm->result, vm2.result, sizeof(vm->result)))
		fail("replay, mode %u: another result", mode);
	if (memcmp(vm->mem, vm2.mem, again.mem_bytes))
		fail("replay, mode %u: another memory", mode);
	vm_destroy(&vm2);
	return rep;
}

struct kvm_samsara_status record_and_replay(const struct vm_setup *setup,
					    void (*meanwhile)(struct vm *vm))
{
	struct kvm_samsara_status rec, rep;
	struct vm vm;
	int i;

	vm_create_configured(&vm, setup);
	vm.stream = streams_new(setup->nr_vcpus);
	vm_start(&vm);
	vm_serve(&vm);
	for (i = 0; i < setup->nr_vcpus; i++)
		vcpu_start(&vm, i);
	if (meanwhile)
		meanwhile(&vm);
	for (i = 0; i < setup->nr_vcpus; i++)
		vcpu_join(&vm, i);
	stop(&vm, &rec, "recording");
	leave(&vm, "recording");
	must_end_well(&vm, &rec, "recording");

	for (i = 0; replay_modes[i]; i++)
		rep = replay_of(&vm, &rec, replay_modes[i]);
	note("%llu commits, %llu of them by devices", rec.commits, rec.dma_commits);
	streams_free(vm.stream, setup->nr_vcpus);
	vm_destroy(&vm);
	return rep;
}

long long number_in(const char *path, const char *key)
{
	long long value = -1;
	char line[256];
	FILE *f = fopen(path, "r");

	while (f && value < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			value = atoll(line + strlen(key));
	if (f)
		fclose(f);
	return value;
}

void write_text(const char *path, const char *what)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(what, f) < 0 || fclose(f))
		fail("%s: %s", path, strerror(errno));
}

/* In the process of its own. */
static void run_case(const struct hostile_case *c)
{
	die_text = text;
	c->run();
	_exit(0);
}

static bool passed(const struct hostile_case *c, unsigned long limit)
{
	bool late = false;
	int status;
	pid_t pid;

	text[0] = 0;
	pid = fork();
	if (!pid)
		run_case(c);
	if (!wait_until(gone(pid, &status), limit * 1000)) {
		late = true;
		kill(pid, SIGKILL);
		if (!wait_until(gone(pid, &status), KILL_MS)) {
			printf("not ok %s: hangs, can't be killed\n", c->name);
			return false;
		}
	}
	if (!status)
		printf("ok %s %s\n", c->name, text);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SKIP)
		printf("skip %s: %s\n", c->name, text);
	else if (late)
		printf("not ok %s: not done after %lu s\n", c->name, limit);
	else if (WIFSIGNALED(status))
		printf("not ok %s: signal %d %s\n", c->name, WTERMSIG(status), text);
	else
		printf("not ok %s: %s\n", c->name, text);
	return !status || (WIFEXITED(status) && WEXITSTATUS(status) == STATUS_SKIP);
}

static bool chosen(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return true;
	return argc < 2;
}

int main(int argc, char **argv)
{
	const char *env = getenv("HOSTILE_LIMIT");
	unsigned long limit = env ? strtoul(env, NULL, 0) : 60;
	bool list = argc > 1 && !strcmp(argv[1], "--list");
	const struct hostile_case *c;
	int failures = 0;
	size_t g;

	text = mmap(NULL, DIE_TEXT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		    -1, 0);
	if (!list)
		vmm_init();
	for (g = 0; g < sizeof(groups) / sizeof(groups[0]); g++)
		for (c = groups[g]; c->name; c++) {
			if (list)
				puts(c->name);
			else if (chosen(c->name, argc, argv))
				failures += !passed(c, limit);
		}
	return failures > 0;
}
