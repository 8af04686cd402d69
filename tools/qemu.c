// SPDX-License-Identifier: GPL-2.0
/* Which QEMU replays recordings, and what is said to it. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "samsara.h"

extern char **environ;

/* No QEMU, or one without -replay. */
#define OTHER	-1

/* As installed, and as built. */
static const char * const names[] = { "qemu-samsara", "qemu-system-x86_64" };

char *put_value(char *p, const char *key, const char *value)
{
	p = stpcpy(stpcpy(p, key), "=");
	for (; *value; value++) {
		if (*value == ',')
			*p++ = ',';
		*p++ = *value;
	}
	*p = '\0';
	return p;
}

static int spawn_quietly(pid_t *pid, const char *program, char *const *argv)
{
	posix_spawn_file_actions_t files;
	int fd, error = posix_spawn_file_actions_init(&files);

	if (error)
		return error;
	for (fd = 0; !error && fd <= 2; fd++)
		error = posix_spawn_file_actions_addopen(&files, fd, "/dev/null", O_RDWR, 0);
	if (!error)
		error = posix_spawnp(pid, program, &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	return error;
}

/* Returns 0 if it can replay, OTHER, or why it can't be run. */
static int try_qemu(const char *program)
{
	char *const argv[] = { (char *)program, "-replay", "help", NULL };
	int status, error;
	pid_t pid;

	error = spawn_quietly(&pid, program, argv);
	if (error)
		return error;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return errno;
	}
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : OTHER;
}

static const char *check_qemu(const char *program)
{
	int error = try_qemu(program);
	char *shown;

	if (!error)
		return program;
	shown = printable(program);
	fprintf(stderr, "samsara: %s: %s\n", shown ? shown : "QEMU",
		error == OTHER ? "this QEMU can't replay: it is not the one of kvm-samsara"
			       : strerror(error));
	free(shown);
	return NULL;
}

const char *find_qemu(const char *given)
{
	const char *program = given ? given : getenv("QEMU");
	size_t i, last = sizeof(names) / sizeof(names[0]) - 1;

	if (program)
		return check_qemu(program);
	for (i = 0; i < last; i++) {
		if (!try_qemu(names[i]))
			return names[i];
	}
	if (try_qemu(names[last]) != ENOENT)
		return check_qemu(names[last]);
	fprintf(stderr, "samsara: neither %s nor %s is in PATH: --qemu, or the environment variable QEMU, says where it is\n",
		names[0], names[1]);
	return NULL;
}
