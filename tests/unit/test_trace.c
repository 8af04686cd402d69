// SPDX-License-Identifier: GPL-2.0
/* samsara export --perfetto. */
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "forge.h"
#include "gen.h"
#include "runtool.h"

static char trace[64];

/* What is in the trace, as a text; free() it. */
static char *export_trace(const char *options, int status)
{
	char rest[160];
	struct bytes b;

	snprintf(trace, sizeof(trace), "%s/trace.json", files_dir);
	snprintf(rest, sizeof(rest), "%s --perfetto %s", trace, options);
	assert_int_equal(run_on("export", path, rest), status);
	b = slurp(trace);
	b.p[b.len] = 0;
	return (char *)b.p;
}

/* The number behind @key in a line. */
static u64 number(const char *line, const char *key)
{
	const char *p = strstr(line, key);

	if (!p || p > strchr(line, '\n'))
		fail_msg("no %s in %.200s", key, line);
	return strtoull(p + strlen(key), NULL, 0);
}

static bool line_has(const char *line, const char *what)
{
	const char *p = strstr(line, what);

	return p && p < strchr(line, '\n');
}

static int depth_of_line(const char *p)
{
	bool text = false;
	int depth = 0;

	for (; *p != '\n'; p++) {
		if (*p == '"' && p[-1] != '\\')
			text = !text;
		depth += !text && (*p == '{' || *p == '[');
		depth -= !text && (*p == '}' || *p == ']');
		assert_true(depth >= 0);
	}
	assert_false(text);
	return depth;
}

/* Slices of a track follow each other.  Returns how many there are. */
static u64 check_trace(const char *text, u64 *instants)
{
	u64 end[80] = { 0 }, slices = 0, tid, ts;
	const char *line = strchr(text, '\n') + 1;

	*instants = 0;
	assert_memory_equal(text, "{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n", 43);
	for (; *line != ']'; line = strchr(line, '\n') + 1) {
		assert_true(line == strchr(text, '\n') + 1 || *line == ',');
		assert_int_equal(depth_of_line(line + (*line == ',')), 0);
		tid = number(line, "\"tid\": ");
		assert_true(tid >= 1 && tid < 80);
		*instants += line_has(line, "\"ph\": \"i\"");
		if (!line_has(line, "\"ph\": \"X\""))
			continue;
		ts = number(line, "\"ts\": ");
		assert_true(ts >= end[tid]);
		end[tid] = ts + number(line, "\"dur\": ");
		assert_true(end[tid] > ts);
		assert_int_equal(end[tid], number(line, "\"commit\": "));
		slices++;
	}
	assert_string_equal(line, "]}\n");
	return slices;
}

static void test_trace(void **state)
{
	u64 instants;
	struct stat st;
	char *text;

	(void)state;
	generate(&(struct gen_options){ .nr_vcpus = 2, .commits = 400, .seed = 4 });
	text = export_trace("", 0);
	assert_int_equal(check_trace(text, &instants), 400);
	assert_int_equal(run_on("dump", path, ""), 0);
	assert_true(instants > 0);
	assert_int_equal(instants, lines_with(" inject "));
	assert_non_null(strstr(text, "\"thread_name\", \"args\": {\"name\": \"vCPU 1\"}"));
	assert_non_null(strstr(text, "\"thread_name\", \"args\": {\"name\": \"devices\"}"));
	assert_non_null(strstr(text, "\"name\": \"async\", \"cat\": \"chunk\""));
	assert_non_null(strstr(text, "\"cat\": \"dma\""));
	free(text);
	assert_int_equal(stat(trace, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* Some of it, over what is there */
	text = export_trace("--from 10 --to 19", 0);
	assert_int_equal(check_trace(text, &instants), 10);
	free(text);
}

static void test_damaged(void **state)
{
	struct gen_options o = whole;
	u64 slices, instants;
	struct rng rng = { 3 };
	struct bytes b;
	char *text;
	u32 i;

	(void)state;
	o.skip = 33;
	generate(&o);
	text = export_trace("", 1);
	assert_says("commit 33 is missing");
	assert_int_equal(check_trace(text, &instants), 59);
	free(text);
	generate(&whole);
	b = slurp(path);
	for (i = 0; i < 20; i++) {
		size_t at = SMR_FILE_HEADER_SIZE + rng_below(&rng, b.len - SMR_FILE_HEADER_SIZE);

		b.p[at] ^= 16;
		spit(path, b.p, b.len);
		b.p[at] ^= 16;
		/* The initial state is not looked at. */
		run_on("dump", path, "");
		slices = lines_with(" digest ") + lines_with(" ram ") + lines_with(" map ");
		text = export_trace("", lines_with("samsara: ") ? 1 : 0);
		assert_int_equal(check_trace(text, &instants), slices);
		free(text);
	}
	free(b.p);
}

static void test_refused(void **state)
{
	char rest[160];

	(void)state;
	generate(&whole);
	assert_int_equal(run_on("export", path, "--perfetto"), 64);
	assert_int_equal(run_on("export", path, "x --perfetto --images y"), 64);
	assert_int_equal(run_on("export", path, "x --from 3"), 64);
	assert_int_equal(run_on("export", path, "/nonexistent/x --perfetto"), 2);
	assert_says("/nonexistent/x: No such file or directory");
	assert_int_equal(run_on("export", path, "/dev/full --perfetto"), 2);
	assert_says("/dev/full: can't write all of it");
	snprintf(rest, sizeof(rest), "%s --perfetto", path);
	assert_int_equal(run_on("export", path, rest), 2);
	assert_says("is a recording; not replaced");
	assert_int_equal(run_on("verify", path, ""), 0);
	assert_int_equal(run_on("export", "/etc/passwd", rest), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trace),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("trace", tests, files_set_up, files_tear_down);
}
