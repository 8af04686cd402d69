// SPDX-License-Identifier: GPL-2.0
/* The command-line tool; environment SAMSARA names the program. */
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "forge.h"
#include "gen.h"
#include "runtool.h"

/* A copy of the first @len bytes, at path2. */
static void copy_cut(size_t len)
{
	struct bytes b = slurp(path);

	spit(path2, b.p, len < b.len ? len : b.len);
	free(b.p);
}

static size_t size(void)
{
	int fd = open(path, O_RDONLY);
	off_t len = lseek(fd, 0, SEEK_END);

	close(fd);
	return (size_t)len;
}

static void test_usage(void **state)
{
	(void)state;
	assert_int_equal(run_tool(""), 64);
	assert_int_equal(run_tool("nonsense x"), 64);
	assert_int_equal(run_tool("info"), 64);
	assert_int_equal(run_tool("info a b"), 64);
	assert_int_equal(run_tool("info --nonsense a"), 64);
	assert_int_equal(run_tool("dump a --from x"), 64);
	assert_int_equal(run_tool("dump a --to -1"), 64);
	assert_int_equal(run_tool("dump a --vcpu 64"), 64);
	assert_int_equal(run_tool("--help"), 0);
	assert_says("usage: samsara COMMAND FILE");
	assert_int_equal(run_tool("--help nonsense"), 64);
	/* Each command has options of its own, and takes no other. */
	assert_int_equal(run_tool("dump --help"), 0);
	assert_says("usage: samsara dump FILE [OPTION]...\n");
	assert_says("  --vcpu N|vm ");
	assert_int_equal(lines_with("--images"), 0);
	assert_int_equal(run_tool("verify a --from 3"), 64);
	assert_says("verify takes no --from");
	assert_int_equal(run_tool("pack a"), 64);
	assert_says("pack needs FILE OUTPUT");
	assert_int_equal(run_tool("--version"), 0);
}

static void test_whole(void **state)
{
	(void)state;
	generate(&whole);
	assert_int_equal(run_on("verify", path, ""), 0);
	assert_says(": ok: ");
	assert_says("60 commits");
	assert_int_equal(run_on("verify", path, "--json"), 0);
	assert_says("\"ok\": true");
	assert_says("\"replayable\": 60");
	assert_int_equal(run_on("info", path, ""), 0);
	assert_says("replayable  to commit 60 of 60, its end\n");
	assert_int_equal(lines_with("initial state:"), 0);
	assert_int_equal(run_on("info", path, "--all"), 0);
	assert_says("replayable  to commit 60 of 60, its end\n");
	assert_says("{ \"type\": \"test\" }");
	assert_int_equal(run_on("info", path, "--json"), 0);
	assert_says("\"commits\": 60");
	assert_says("\"text\": \"{ \\\"type\\\": \\\"test\\\" }\"");
}

/* A chunk has one end, and people and programs are told the same one. */
static void test_dump_ends(void **state)
{
	u32 chunks, async, step, nr_ends = 0;
	const char *p;

	(void)state;
	generate(&whole);
	assert_int_equal(run_on("dump", path, "--json"), 0);
	chunks = lines_with("\"type\": \"chunk\"");
	async = lines_with("\"end_name\": \"async\"");
	step = lines_with("\"step\": true");
	assert_true(chunks > async && async > step && step > 0);

	assert_int_equal(run_on("dump", path, ""), 0);
	for (p = out; (p = strstr(p, " end ")); p++)
		nr_ends++;
	assert_int_equal(nr_ends, chunks);
	assert_int_equal(lines_with(" end async at branches "), async);
	assert_int_equal(lines_with(" step digest "), step);
}

static void test_dump(void **state)
{
	u32 all, n = 0;

	(void)state;
	generate(&whole);
	assert_int_equal(run_on("dump", path, ""), 0);
	/* 60 commits, the start and three ends. */
	assert_int_equal(lines(), 64);
	assert_true(strstr(out, "-end ") > strstr(out, "      60 v"));
	assert_says("vm-start");
	assert_says("vm-end");
	assert_int_equal(run_on("dump", path, "--json"), 0);
	assert_int_equal(lines(), 64);
	assert_int_equal(run_on("dump", path, "--from 10 --to 19"), 0);
	assert_int_equal(lines(), 10);
	assert_int_equal(run_on("dump", path, "--vcpu 0"), 0);
	all = lines();
	assert_int_equal(run_on("dump", path, "--vcpu 1"), 0);
	n = lines();
	assert_int_equal(run_on("dump", path, "--vcpu vm"), 0);
	assert_int_equal(all + n + lines(), 64);
	assert_int_equal(run_on("dump", path, "--vcpu 2"), 64);
}

static void test_killed(void **state)
{
	struct gen_options o = whole;

	(void)state;
	o.no_ends = o.no_trailer = true;
	generate(&o);
	assert_int_equal(run_on("verify", path, ""), 1);
	assert_says("the recorder was stopped before the end");
	assert_says("replayable to commit 60 of 60");
	assert_int_equal(run_on("dump", path, ""), 0);
}

static void test_cut(void **state)
{
	size_t len;

	(void)state;
	generate(&whole);
	len = size();
	copy_cut(len - 200);
	assert_int_equal(run_on("verify", path2, ""), 1);
	assert_says("cut inside");
	assert_says("at offset ");
	assert_says("replayable to commit ");
	assert_int_equal(run_on("info", path2, ""), 1);
	assert_int_equal(run_on("dump", path2, ""), 1);
	/* Inside the initial state. */
	copy_cut(SMR_FILE_HEADER_SIZE + 100);
	assert_int_equal(run_on("verify", path2, ""), 2);
	assert_says("nothing can be replayed");
	copy_cut(100);
	assert_int_equal(run_on("verify", path2, ""), 2);
	assert_says("file header is cut");
}

static void test_unreadable(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(run_tool("info /nonexistent"), 2);
	assert_says("/nonexistent: can't open: No such file or directory");
	assert_int_equal(run_tool("info /dev/null"), 2);
	assert_int_equal(run_tool("verify /etc/passwd"), 2);
	assert_says("not a recording");
	assert_int_equal(run_tool("verify /etc/passwd --json"), 2);
	assert_says("\"error\"");
	generate(&whole);
	fd = open(path, O_RDWR);
	assert_int_equal(pwrite(fd, "\x09", 1, H_MAJOR), 1);
	close(fd);
	assert_int_equal(run_on("info", path, ""), 2);
	assert_says("newer version (format 9.0; this program reads ");
	/* No room for the output is an error, too. */
	generate(&whole);
	fd = system("test -w /dev/full") ? -1 : 0;
	if (!fd) {
		char command[256];

		snprintf(command, sizeof(command), "%s dump %s > /dev/full 2>/dev/null",
			 getenv("SAMSARA"), path);
		assert_int_equal(WEXITSTATUS(system(command)), 2);
	}
}

static void test_missing_commit(void **state)
{
	struct gen_options o = whole;

	(void)state;
	o.skip = 33;
	generate(&o);
	assert_int_equal(run_on("verify", path, ""), 1);
	assert_says("a commit is missing");
	assert_says("replayable to commit 32 of 60");
	assert_int_equal(run_on("dump", path, ""), 1);
	assert_says("commit 33 is missing");
}

/* Checksums are right, records too, but not what is in them. */
static void test_bad_inputs(void **state)
{
	struct gen_options o = whole;

	(void)state;
	for (o.seed = 1; o.seed < 20; o.seed++) {
		o.bad_inputs = false;
		generate(&o);
		run_on("dump", path, "--vcpu vm --from 60 --to 60");
		if (!lines())
			break;
	}
	assert_true(o.seed < 20);
	o.bad_inputs = true;
	generate(&o);
	assert_int_equal(run_on("verify", path, ""), 1);
	assert_says("commit 60, vCPU ");
	assert_says(": inputs can't be decoded");
	assert_says("replayable to commit 59 of 60");
	assert_int_equal(run_on("dump", path, ""), 1);
	assert_says("(rest is damaged)");
}

/* All checksums are right, and all records are some. */
static void test_impossible(void **state)
{
	struct gen_options o = whole;

	(void)state;
	generate(&whole);
	/* Its first record has a number. */
	run_on("dump", path, "--vcpu 1");
	o.bad_event = strtoull(out, NULL, 10);
	generate(&o);
	assert_int_equal(run_on("verify", path, ""), o.bad_event == 1 ? 2 : 1);
	assert_says(", vCPU 1: event: KVM can't have produced it");
	run_on("verify", path, "--json");
	assert_says("\"bad_vcpu\": 1");
	assert_says("\"bad_field\": \"event\"");
}

#define ESCAPE	"\033]0;owned\007\033[2J"

static void run_all(const char *file, const char *says)
{
	static const char * const commands[] = { "info", "dump", "verify" };
	u32 i;

	for (i = 0; i < 3; i++) {
		run_on(commands[i], file, "");
		if (says)
			assert_says(says);
		run_on(commands[i], file, "--json");
	}
	run_on("info", file, "--all");
}

#define MACHINE	"machine=microvm\ncpu=host\nchaos=3\nseed=7\ncmdline=console=ttyS0 seed=8\n"
#define MEMORY	"0x0 0x4000000 rw microvm.ram\n0xfffe0000 0x20000 ro microvm.firmware\nnonsense\n"

#define RAM	"0x8000000 0x1000000 vga.vram\n0x0 0x8000000 pc.ram\n0x9000000\nnonsense\n"

static void forge_machine(bool with_ram)
{
	struct bytes b = forge_file();

	forge_blob(&b, "machine", sizeof(MACHINE) - 1, 0, MACHINE, sizeof(MACHINE) - 1);
	forge_blob(&b, "memory", sizeof(MEMORY) - 1, 0, MEMORY, sizeof(MEMORY) - 1);
	if (with_ram)
		forge_blob(&b, "ram", sizeof(RAM) - 1, 0, RAM, sizeof(RAM) - 1);
	forge_initial_end(&b, with_ram ? 3 : 2);
	forge_seal(&b);
	spit(path, b.p, b.len);
	free(b.p);
}

/* What QEMU stores of a machine is told in words. */
static void test_summary(void **state)
{
	(void)state;
	forge_machine(true);
	assert_int_equal(run_on("info", path, ""), 2);
	assert_says("guest       microvm, 1 vCPU, 128 MiB of memory\n");

	/* As older versions wrote it. */
	forge_machine(false);
	assert_int_equal(run_on("info", path, ""), 2);
	assert_says("guest       microvm, 1 vCPU, 64 MiB of memory\n");
	assert_says("kernel      console=ttyS0 seed=8\n");
	assert_says("chance      seed=7,chaos=3\n");
	run_all(path, NULL);
}

/* Names in the header, names and texts of blobs, that are meant for the terminal. */
static void test_escapes(void **state)
{
	struct gen_options o = whole;
	struct bytes b;

	(void)state;
	o.writer = ESCAPE "\"\\\xc2\x9b" "31m";
	o.host = "\x9b\xff\r\n" ESCAPE;
	generate(&o);
	assert_int_equal(run_on("info", path, ""), 0);
	assert_says(" by ?]0;owned??[2J\"\\??31m on ????");
	assert_int_equal(run_on("info", path, "--json"), 0);
	assert_says("\"writer\": \"?]0;owned??[2J\\\"\\\\??31m\"");
	run_all(path, NULL);

	b = forge_file();
	memset(b.p + H_CREATED, 0xff, 8);
	memset(b.p + H_WRITER, 0x1b, 128);
	memset(b.p + H_HOST, 0x9b, 128);
	forge_blob(&b, "machine", sizeof(ESCAPE) - 1, 0, ESCAPE, sizeof(ESCAPE) - 1);
	forge_blob(&b, "c1", 3, 0, "\xc2\x9b" "m", 3);
	forge_blob(&b, "tabs", 8, 0, "a\tb\n\"\\\n\n", 8);
	forge_initial_end(&b, 3);
	forge_seal(&b);
	spit(path, b.p, b.len);
	run_all(path, NULL);
	assert_int_equal(run_on("info", path, "--all"), 2);
	assert_says("machine              14 bytes\n");
	assert_says("c1                   3 bytes\n");
	assert_says("    a\tb\n    \"\\\n    \n");
	run_on("info", path, "--json");
	assert_says("\"text\": \"a\\u0009b\\u000a\\\"\\\\\\u000a\\u000a\"");
	free(b.p);

	b = forge_file();
	forge_blob(&b, ESCAPE, 1, 0, "x", 1);
	forge_initial_end(&b, 1);
	forge_seal(&b);
	spit(path, b.p, b.len);
	free(b.p);
	run_on("verify", path, "");
	assert_says("bad blob name");
	run_all(path, NULL);
}

/* The file's own name may have come from a stranger, too. */
static void test_file_name(void **state)
{
	char evil[96], quoted[128];

	(void)state;
	generate(&whole);
	snprintf(evil, sizeof(evil), "%s/\033]0;x\007\xff\xc3\xa4", files_dir);
	snprintf(quoted, sizeof(quoted), "\"%s\"", evil);
	run_all(quoted, "No such file");
	assert_int_equal(link(path, evil), 0);
	run_all(quoted, NULL);
	assert_int_equal(run_on("verify", quoted, ""), 0);
	assert_says("/?]0;x??\xc3\xa4: ok: ");
	assert_int_equal(run_on("info", quoted, "--json"), 0);
	assert_says("/\\u001b]0;x\\u0007\\ufffd\xc3\xa4\",\n");
	unlink(evil);
}

/* A QEMU that counts its runs, records, and does in the third what @third says. */
static void make_qemu(const char *name, const char *recording, const char *third)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n"
		"echo x >> %s.n; n=$(wc -l < %s.n)\n"
		"for a; do case $a in file=*) a=${a#file=}; cp %s ${a%%%%,*};; esac; done\n"
		"echo \"run $n: $*\"\n"
		"[ $n != 3 ] || { %s; }\n", name, name, recording, third);
	fclose(f);
	assert_int_equal(chmod(name, 0755), 0);
}

/* Returns the status of a hunt with that QEMU, whose recording is hunt.smr. */
static int hunt(const char *options, const char *third)
{
	char qemu[80], counter[80], arguments[400];

	snprintf(qemu, sizeof(qemu), "%s/qemu", files_dir);
	snprintf(counter, sizeof(counter), "%s/qemu.n", files_dir);
	unlink(counter);
	make_qemu(qemu, path, third);
	snprintf(arguments, sizeof(arguments), "hunt --file %s/hunt.smr %s -- %s -m 64", files_dir,
		 options, qemu);
	return run_tool(arguments);
}

static void test_hunt(void **state)
{
	(void)state;
	generate(&whole);
	/* what it prints, how it ends, how long it takes */
	assert_int_equal(hunt("", "echo Kernel panic - not syncing; exec sleep 100"), 0);
	assert_says("run 2, ");
	assert_says("failed: it printed \"Kernel panic\"");
	assert_says("hunt.smr, 60 commits");
	assert_says("/qemu -display none -replay file=");
	assert_int_equal(hunt("--pattern lost", "printf lo; sleep 0.1; printf st"), 0);
	assert_says("failed: it printed \"lost\"");
	assert_int_equal(hunt("", "exit 5"), 0);
	assert_says("run 3, ");
	assert_says("failed: its exit status was 5");
	assert_int_equal(hunt("", "kill -11 $$"), 0);
	assert_says("failed: signal 11 ended it");
	assert_int_equal(hunt("--time-limit 1", "exec sleep 100"), 0);
	assert_says("failed: it took longer than 1 s");
	/* options of -record, and what the guest prints */
	assert_int_equal(hunt("--show --record chaos=3 --runs 1", ":"), 1);
	assert_says("run 1: -m 64 -record file=");
	assert_says("hunt.smr,chaos=3");
}

static void test_hunt_fails(void **state)
{
	(void)state;
	generate(&whole);
	/* good runs */
	assert_int_equal(hunt("--runs 2", ":"), 1);
	assert_int_equal(hunt("--runs 3 --pass 5", "exit 5"), 0);
	assert_says("run 1, ");
	/* no recording of the run that failed: the last one's is not kept for it */
	assert_int_equal(hunt("", "rm $a; exit 1"), 2);
	assert_int_equal(hunt("", "echo samsara: recording ended: disk full; exit 1"), 2);
	assert_says("run 3 was not recorded");
	assert_int_equal(run_tool("hunt -- /nowhere/qemu"), 2);
	/* wrong usage */
	assert_int_equal(run_tool("hunt"), 64);
	assert_int_equal(run_tool("hunt --runs x -- true"), 64);
	assert_int_equal(run_tool("hunt --pattern '' -- true"), 64);
	assert_int_equal(run_tool("hunt --time-limit -1 -- true"), 64);
	assert_int_equal(run_tool("hunt --what -- true"), 64);
	assert_int_equal(run_tool("hunt --help"), 0);
}

/* What it would replay with is a script that says what it was given. */
static int replay_with(const char *qemu, const char *script, const char *arguments)
{
	char command[600], name[80];
	FILE *f;

	snprintf(name, sizeof(name), "%s/%s", files_dir, qemu);
	f = fopen(name, "w");
	assert_non_null(f);
	fprintf(f, "#!/bin/sh\n[ \"$*\" != '-replay help' ] || exit %s\n"
		"printf '<%%s>' %s \"$@\"\nexit 4\n", script, qemu);
	fclose(f);
	assert_int_equal(chmod(name, 0755), 0);
	snprintf(command, sizeof(command), "replay %s", arguments);
	return run_tool(command);
}

static void test_replay(void **state)
{
	char arguments[400];

	(void)state;
	/* by its name, with a file's comma, options of -replay and of QEMU, and QEMU's status */
	generate(&whole);
	snprintf(arguments, sizeof(arguments), "%s,x", path);
	assert_int_equal(rename(path, arguments), 0);
	snprintf(arguments, sizeof(arguments),
		 "--qemu %s/q --images a,b --replay stop-at=3 %s,x -s -display gtk", files_dir,
		 path);
	assert_int_equal(replay_with("q", "0", arguments), 4);
	snprintf(arguments, sizeof(arguments),
		 "<q><-display><none><-replay><file=%s,,x,images=a,,b,stop-at=3><-s><-display><gtk>",
		 path);
	assert_says(arguments);
	/* nothing to replay */
	assert_int_equal(run_tool("replay /nowhere/run.smr"), 2);
	assert_says("can't open");
	assert_int_equal(run_tool("replay"), 64);
	assert_int_equal(run_tool("replay --what x"), 64);
	assert_int_equal(run_tool("replay --help"), 0);
}

static void test_replay_environment(void **state)
{
	char qemu[80];

	(void)state;
	generate(&whole);
	snprintf(qemu, sizeof(qemu), "%s/q", files_dir);
	setenv("QEMU", qemu, 1);
	assert_int_equal(replay_with("q", "0", path), 4);
	assert_int_equal(replay_with("q", "1", path), 1);
	assert_says("/q: this QEMU can't replay");
	unlink(qemu);
	assert_int_equal(run_on("replay", path, ""), 1);
	assert_says("/q: No such file");
	unsetenv("QEMU");
}

/* Of those in PATH, one that can replay */
static void test_replay_path(void **state)
{
	char *before = strdup(getenv("PATH")), *after;

	(void)state;
	generate(&whole);
	assert_non_null(before);
	after = malloc(strlen(before) + 80);
	assert_non_null(after);
	sprintf(after, "%s:%s", files_dir, before);
	setenv("PATH", after, 1);
	assert_int_equal(replay_with("qemu-system-x86_64", "0", path), 4);
	assert_says("<qemu-system-x86_64>");
	assert_int_equal(replay_with("qemu-samsara", "0", path), 4);
	assert_says("<qemu-samsara>");
	assert_int_equal(replay_with("qemu-samsara", "1", path), 4);
	assert_says("<qemu-system-x86_64>");
	setenv("PATH", "/nowhere", 1);
	assert_int_equal(run_on("replay", path, ""), 1);
	assert_says("neither qemu-samsara nor qemu-system-x86_64 is in PATH");
	setenv("PATH", before, 1);
	free(before);
	free(after);
}

/* What was named is there; everything else is as it was. */
static void test_pack(void **state)
{
	static char packed[64], image[64], before[1 << 20];
	struct gen_options o = whole;
	char arguments[256];

	(void)state;
	snprintf(packed, sizeof(packed), "%s/packed", files_dir);
	snprintf(image, sizeof(image), "%s/image", files_dir);
	memset(before, 'x', 100000);
	spit(image, (const u8 *)before, 100000);
	o.image = image;
	o.compress = 0;
	generate(&o);
	snprintf(arguments, sizeof(arguments), "pack %s %s", path, packed);
	assert_int_equal(run_on("dump", path, "--vcpu 0"), 0);
	snprintf(before, sizeof(before), "%s", out);
	assert_int_equal(run_on("dump", path, "--vcpu vm"), 0);
	assert_says("dma-ref");
	assert_int_equal(run_tool(arguments), 0);
	assert_int_equal(run_on("verify", packed, ""), 0);
	assert_int_equal(run_on("dump", packed, "--vcpu vm"), 0);
	assert_int_equal(lines_with("dma-ref"), 0);
	assert_int_equal(run_on("dump", packed, "--vcpu 0"), 0);
	assert_string_equal(out, before);
	/* Over itself, and then without the image. */
	snprintf(arguments, sizeof(arguments), "pack %s %s", path, path);
	assert_int_equal(run_tool(arguments), 2);
	assert_int_equal(run_on("verify", path, ""), 0);
	unlink(packed);
	unlink(image);
	snprintf(arguments, sizeof(arguments), "pack %s %s", path, packed);
	assert_int_equal(run_tool(arguments), 2);
	assert_says("can't open this disk image");
	assert_int_equal(access(packed, F_OK), -1);
	assert_int_equal(run_on("pack", path, ""), 64);
}

/* What bash would complete @words to, of which @last is the last one. */
static void complete(const char *words, const char *last, const char *previous)
{
	char script[96], command[600];
	FILE *f;

	snprintf(script, sizeof(script), "%s/complete", files_dir);
	f = fopen(script, "w");
	assert_non_null(f);
	fprintf(f, "COMP_WORDS=(samsara %s)\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
		". %s/samsara.bash-completion\n_samsara \"$SAMSARA\" '%s' '%s'\n"
		"printf '%%s\\n' \"${COMPREPLY[@]}\"\n", words, TOOLS, last, previous);
	fclose(f);
	snprintf(command, sizeof(command), "--version > /dev/null && bash %s", script);
	assert_int_equal(run_tool(command), 0);
}

static void test_completion(void **state)
{
	(void)state;
	complete("re", "re", "samsara");
	assert_int_equal(lines_with("report"), 1);
	assert_int_equal(lines_with("recover"), 1);
	assert_int_equal(lines_with("replay"), 1);
	assert_int_equal(lines(), 3);
	complete("''", "", "samsara");
	assert_says("\nhunt\n");
	assert_says("\n--version\n");
	complete("dump x --", "--", "x");
	assert_says("\n--vcpu\n");
	assert_says("\n--help\n");
	assert_int_equal(lines_with("--images"), 0);
	complete("hunt --t", "--t", "hunt");
	assert_string_equal(out, "--time-limit\n");
	complete("replay --r", "--r", "replay");
	assert_string_equal(out, "--replay\n");
	complete("dump x --vcpu ''", "", "--vcpu");
	assert_string_equal(out, "vm\n");
	complete("hunt -- /bin/ca", "/bin/ca", "--");
	assert_true(lines_with("/bin/cat") > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_dump),
		cmocka_unit_test(test_dump_ends),
		cmocka_unit_test(test_pack),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_missing_commit),
		cmocka_unit_test(test_bad_inputs),
		cmocka_unit_test(test_impossible),
		cmocka_unit_test(test_summary),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_file_name),
		cmocka_unit_test(test_completion),
		cmocka_unit_test(test_hunt),
		cmocka_unit_test(test_hunt_fails),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_replay_environment),
		cmocka_unit_test(test_replay_path),
	};

	return cmocka_run_group_tests_name("tool", tests, files_set_up, files_tear_down);
}
