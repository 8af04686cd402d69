// SPDX-License-Identifier: GPL-2.0
/*
 * cutall TOOL FILE [STEP]: cuts a copy of a recording at every byte, from the end
 * on, and looks at it each time with the library; with the tool itself at every
 * STEPth cut (default 64). A cut file must be refused, or be replayable up to a
 * commit, and never to a later one than a longer file was.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "smr_file.h"

extern char **environ;

static int failures;

static void fail(u64 len, const char *what)
{
	if (failures++ < 5)
		printf("cut at %llu: %s\n", (unsigned long long)len, what);
}

/* The commit up to which it can be replayed; 0 if nothing can. */
static u64 look(const char *path, u64 len)
{
	struct smr_reader *r;
	struct smr_extent x;
	struct smr_err err = { 0 };
	u64 replayable = 0;

	if (smr_reader_open(&r, path, &err) < 0) {
		if (!err.code || !*smr_file_errstr(&err))
			fail(len, "refused without a reason");
		return 0;
	}
	if (smr_reader_extent(r, &x, &err) < 0) {
		fail(len, "cannot be read");
	} else {
		if (x.trailer)
			fail(len, "passes as a closed file");
		if (x.damage.code && x.damage.offset > len)
			fail(len, "damage reported behind the end");
		if (x.initial)
			replayable = x.replayable;
	}
	smr_reader_close(r);
	return replayable;
}

static void ask_tool(const char *tool, const char *path, u64 len, u64 replayable)
{
	char *const argv[] = { "samsara", "verify", (char *)path, NULL };
	posix_spawn_file_actions_t fa;
	int status = -1;
	pid_t pid;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", O_WRONLY, 0);
	if (posix_spawn(&pid, tool, &fa, NULL, argv, environ) ||
	    waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
		fail(len, "the tool crashed");
	} else if (WEXITSTATUS(status) != (replayable ? 1 : 2)) {
		fail(len, "the tool's status is wrong");
		printf("  %d, with %llu commits replayable\n", WEXITSTATUS(status),
		       (unsigned long long)replayable);
	}
	posix_spawn_file_actions_destroy(&fa);
}

int main(int argc, char **argv)
{
	u64 step = argc > 3 ? strtoull(argv[3], NULL, 0) : 64;
	u64 len, now, last = UINT64_MAX, most = 0;
	struct stat st;

	if (argc < 3 || stat(argv[2], &st)) {
		fprintf(stderr, "usage: cutall TOOL FILE [STEP]\n");
		return 2;
	}
	for (len = st.st_size; len-- > 0;) {
		if (truncate(argv[2], len)) {
			perror("truncate");
			return 2;
		}
		now = look(argv[2], len);
		if (now > last)
			fail(len, "replayable further than a longer file");
		if (now > most)
			most = now;
		last = now;
		if (len % step == 0)
			ask_tool(argv[1], argv[2], len, now);
	}
	printf("%llu cuts, up to %llu commits replayable, %d failures\n",
	       (unsigned long long)st.st_size, (unsigned long long)most, failures);
	return failures != 0;
}
