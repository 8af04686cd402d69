// SPDX-License-Identifier: GPL-2.0
/* What somebody sees at a terminal while the tool is at work; a second is over at each look. */
#include "test.h"

#include <fcntl.h>
#include <getopt.h>
#include <time.h>
#include <unistd.h>

#include "files.h"
#include "forge.h"

int __wrap_isatty(int fd);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int samsara_main(int argc, char **argv);

static bool terminal[3];
static u64 looks;

int __wrap_isatty(int fd)
{
	return fd >= 0 && fd < 3 && terminal[fd];
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	*ts = (struct timespec) { .tv_sec = (time_t)++looks };
	return 0;
}

/* Runs a command on path; what it says on standard error is the result: free() it. */
static char *errors_of(const char *command, const char *operand)
{
	char *argv[] = { "samsara", (char *)command, path, (char *)operand, NULL };
	char name[64];
	int saved[2], to[2], i;
	struct bytes b;

	snprintf(name, sizeof(name), "%s/errors", files_dir);
	to[0] = open("/dev/null", O_WRONLY);
	to[1] = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	fflush(NULL);
	for (i = 0; i < 2; i++) {
		saved[i] = dup(i + 1);
		assert_true(to[i] >= 0 && saved[i] >= 0 && dup2(to[i], i + 1) >= 0);
	}
	optind = 0;
	assert_int_equal(samsara_main(operand ? 4 : 3, argv), 0);
	for (i = 0; i < 2; i++) {
		dup2(saved[i], i + 1);
		close(saved[i]);
		close(to[i]);
	}
	b = slurp(name);
	b.p[b.len] = 0;
	return (char *)b.p;
}

static void assert_progress(const char *command, const char *operand, bool expected)
{
	char *text = errors_of(command, operand);
	size_t len = strlen(text);

	if (!expected)
		assert_string_equal(text, "");
	else
		assert_true(len > 8 && strstr(text, " % ") && text[0] == '\r');
	/* It leaves nothing behind. */
	if (expected)
		assert_string_equal(text + len - 8, "\r      \r");
	free(text);
}

static void test_progress(void **state)
{
	(void)state;
	generate(&(struct gen_options){ .nr_vcpus = 2, .commits = 9000, .seed = 4,
					.flush_every = 100 });
	assert_progress("verify", NULL, false);
	assert_progress("recover", path2, false);
	terminal[2] = true;
	assert_progress("verify", NULL, true);
	assert_progress("recover", path2, true);
	assert_progress("diff", path, true);
	assert_progress("report", NULL, true);
	assert_progress("dump", NULL, true);
	/* It would be between the lines. */
	terminal[1] = true;
	assert_progress("dump", NULL, false);
	/* What takes no time says nothing. */
	generate(&(struct gen_options){ .nr_vcpus = 2, .commits = 900, .seed = 4 });
	assert_progress("verify", NULL, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_progress),
	};

	return cmocka_run_group_tests_name("progress", tests, files_set_up, files_tear_down);
}
