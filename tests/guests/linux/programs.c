// SPDX-License-Identifier: GPL-2.0
/*
 * /init of the benchmark's Linux guest: runs the programs in /programs, one after the
 * other.  Each is a file of shell functions: prepare(), run(), and check(), which
 * prints what came of it.  run() is timed by the TSC, which is the host's: the time is
 * real, recorded or not.  "programs=NAME,NAME" on the kernel's command line selects
 * some; "rounds=N" runs each so many times.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "machine.h"

#define DIR	"/programs"
#define OUTPUT	"/tmp/output"
#define RESULT	"/tmp/result"

/* Calls the program's function FUNCTION, its output in @to.  The exit status. */
static int call(const char *name, const char *function, const char *to)
{
	char command[400];
	int status;
	pid_t pid;

	snprintf(command, sizeof(command), ". " DIR "/%s; %s", name, function);
	pid = fork();
	if (!pid) {
		int fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		dup2(fd, 1);
		dup2(fd, 2);
		close(fd);
		execl("/bin/sh", "sh", "-e", "-c", command, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* The beginning of what was written to @file, one line. */
static void read_line(const char *file, char *line, size_t size)
{
	int fd = open(file, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, line, size - 1);

	line[n < 0 ? 0 : n] = 0;
	line[strcspn(line, "\n")] = 0;
	close(fd);
}

static int failed(const char *name, const char *function, int status, const char *output)
{
	char line[700], end[256];

	read_line(output, end, sizeof(end));
	snprintf(line, sizeof(line), "%s: %s: status %d: %s\n", name, function, status, end);
	say(line);
	return 1;
}

static int program(const char *name)
{
	char line[400], signature[80];
	uint64_t start, took;
	int status;

	status = call(name, "prepare", OUTPUT);
	if (status)
		return failed(name, "prepare", status, OUTPUT);
	start = __rdtsc();
	status = call(name, "run", OUTPUT);
	took = __rdtsc() - start;
	if (status)
		return failed(name, "run", status, OUTPUT);
	status = call(name, "check", RESULT);
	if (status)
		return failed(name, "check", status, RESULT);
	read_line(RESULT, signature, sizeof(signature));
	snprintf(line, sizeof(line), "RESULT %s %s cycles=%" PRIu64 "\n", name, signature, took);
	say(line);
	return 0;
}

static int is_program(const struct dirent *d)
{
	return d->d_type == DT_REG;
}

static int selected(const char *name)
{
	const char *only = getenv("programs"), *at;
	size_t n = strlen(name);

	for (at = only; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		if (!strncmp(at, name, n) && (at[n] == ',' || !at[n]))
			return 1;
	return !only;
}

int main(void)
{
	const char *rounds = getenv("rounds") ?: "1";
	struct dirent **list;
	char cpus[16];
	cpu_set_t set;
	int n, i, round, bad = 0;

	mount("proc", "/proc", "proc", 0, NULL);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	sched_getaffinity(0, sizeof(set), &set);
	snprintf(cpus, sizeof(cpus), "%d", CPU_COUNT(&set));
	setenv("CPUS", cpus, 1);
	setenv("PATH", "/bin:/usr/bin", 1);
	n = scandir(DIR, &list, is_program, alphasort);
	for (i = 0; i < n; i++)
		for (round = 0; selected(list[i]->d_name) && round < atoi(rounds); round++)
			bad |= program(list[i]->d_name);
	end(bad || n <= 0);
}
