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

/* Appends what is in a file to the output. */
static void collect(const char *name)
{
	size_t len = strlen(out);
	int fd = open(name, O_RDONLY);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, out + len, sizeof(out) - 1 - len);
	assert_true(n >= 0);
	out[len + (size_t)n] = 0;
	close(fd);
}

/* Its output is in `out`, and behind that its errors. */
int run_tool(const char *arguments)
{
	const char *tool = getenv("SAMSARA");
	char command[1024], to[80], errors[80];
	const char *p;
	int ret;

	snprintf(to, sizeof(to), "%s/out", files_dir);
	snprintf(errors, sizeof(errors), "%s/errors", files_dir);
	snprintf(command, sizeof(command), "%s %s > %s 2> %s", tool ? tool : "samsara", arguments,
		 to, errors);
	ret = system(command);
	assert_true(WIFEXITED(ret));
	out[0] = 0;
	collect(to);
	collect(errors);
	/* Their exit status is also that of a damaged file. */
	if (strstr(out, "Sanitizer") || strstr(out, "runtime error: "))
		fail_msg("%s: %s", arguments, out);
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
