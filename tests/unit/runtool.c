// SPDX-License-Identifier: GPL-2.0
#include "test.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "runtool.h"

char out[1 << 20];

const struct gen_options whole = {
	.nr_vcpus = 2, .commits = 60, .flush_every = 20, .compress = 1, .seed = 121, .ram_pages = 3,
};

/* Runs it; its output is in `out`.  Returns the exit status. */
int run_tool(const char *arguments)
{
	const char *tool = getenv("SAMSARA");
	char command[1024], out_path[80];
	ssize_t n;
	const char *p;
	int fd, ret;

	snprintf(out_path, sizeof(out_path), "%s/out", files_dir);
	snprintf(command, sizeof(command), "%s %s > %s 2>&1", tool ? tool : "samsara", arguments,
		 out_path);
	ret = system(command);
	assert_true(WIFEXITED(ret));
	fd = open(out_path, O_RDONLY);
	assert_true(fd >= 0);
	n = read(fd, out, sizeof(out) - 1);
	assert_true(n >= 0);
	out[n] = 0;
	close(fd);
	/* Whatever the file is, there is nothing in it that a terminal would obey. */
	for (p = out; *p; p += smr_printable_len(p) + !smr_printable_len(p)) {
		if (*p != '\n' && *p != '\t' && !smr_printable_len(p))
			fail_msg("%s: byte 0x%02x in the output", arguments, (u8)*p);
	}
	return WEXITSTATUS(ret);
}

int run_on(const char *command, const char *file, const char *rest)
{
	char arguments[512];

	snprintf(arguments, sizeof(arguments), "%s %s %s", command, file, rest);
	return run_tool(arguments);
}

void assert_says(const char *text)
{
	if (!strstr(out, text))
		fail_msg("no \"%s\" in: %s", text, out);
}

u32 lines(void)
{
	const char *p;
	u32 n = 0;

	for (p = out; *p; p++)
		n += *p == '\n';
	return n;
}

/* Lines with @what in them. */
u32 lines_with(const char *what)
{
	char *p, *end;
	u32 n = 0;

	for (p = out; (end = strchr(p, '\n')); p = end + 1) {
		*end = 0;
		n += strstr(p, what) != NULL;
		*end = '\n';
	}
	return n;
}
