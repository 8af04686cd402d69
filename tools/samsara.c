// SPDX-License-Identifier: GPL-2.0
/* samsara: look into recordings without QEMU; record until a run fails. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "samsara.h"

static const struct command {
	const char *name;
	int (*run)(const struct options *o, struct smr_reader *r);
	bool has_output;
	const char *help;
} commands[] = {
	{ "info",   cmd_info,   false, "what was recorded, how much of it can be replayed, sizes" },
	{ "dump",   cmd_dump,   false, "all records in commit order, one line each" },
	{ "verify", cmd_verify, false, "check everything that can be checked without replaying" },
	{ "pack",   cmd_pack,   true, "copy it to OUTPUT, with what was read from disk images" },
	{ "export", cmd_export, true, "replay it; disks, packets and consoles go to the directory OUTPUT" },
};

#define NR_COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *f)
{
	size_t i;

	fprintf(f, "usage: samsara COMMAND FILE [OUTPUT] [OPTION]...\n\n");
	for (i = 0; i < NR_COMMANDS; i++)
		fprintf(f, "  %-8s %s\n", commands[i].name, commands[i].help);
	fprintf(f, "\n  samsara hunt [OPTION]... -- QEMU [ARGUMENT]...: record until a run fails; see\n"
		"  samsara hunt --help\n\n"
		"      --all         info: counts, parts of the log, stored descriptions, too\n"
		"      --json        for programs: an object; dump: an object per line\n"
		"      --vcpu N|vm   dump: records of one vCPU, or of the VM, only\n"
		"      --from N      dump: commits from N on\n"
		"      --to N        dump: commits up to N\n"
		"      --images DIR  pack, export: disk images are there, if not where they were\n"
		"      --help, --version\n\n"
		"exit status: 0 whole, 1 cut or damaged but replayable up to a commit,\n"
		"2 no recording or nothing to replay, 64 wrong usage\n");
}

static int usage_error(const char *what, const char *arg)
{
	fprintf(stderr, "samsara: %s%s%s\nTry 'samsara --help'.\n", what, arg ? ": " : "",
		arg ? arg : "");
	return EXIT_USAGE;
}

bool get_number(const char *text, int base, u64 *v)
{
	char *end;

	errno = 0;
	*v = strtoull(text, &end, base);
	return *text >= '0' && *text <= '9' && !*end && !errno;
}

static bool get_stream(const char *text, int *stream)
{
	u64 v;

	if (!strcmp(text, "vm")) {
		*stream = VM_STREAM;
		return true;
	}
	if (!get_number(text, 0, &v) || v >= SMR_FILE_MAX_VCPUS)
		return false;
	*stream = (int)v;
	return true;
}

/* Returns -1 to go on, else an exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{ "all",     no_argument,       NULL, 'a' },
		{ "json",    no_argument,       NULL, 'j' },
		{ "vcpu",    required_argument, NULL, 'v' },
		{ "from",    required_argument, NULL, 'f' },
		{ "to",      required_argument, NULL, 't' },
		{ "images",  required_argument, NULL, 'i' },
		{ "help",    no_argument,       NULL, 'h' },
		{ "version", no_argument,       NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'a':
			o->all = true;
			break;
		case 'j':
			o->json = true;
			break;
		case 'v':
			if (!get_stream(optarg, &o->stream))
				return usage_error("--vcpu: no vCPU number", optarg);
			break;
		case 'f':
			if (!get_number(optarg, 0, &o->from))
				return usage_error("--from: no commit number", optarg);
			break;
		case 't':
			if (!get_number(optarg, 0, &o->to))
				return usage_error("--to: no commit number", optarg);
			break;
		case 'i':
			o->images = optarg;
			break;
		case 'h':
			usage(stdout);
			return EXIT_OK;
		case 'V':
			printf("samsara %s, recording format %u.%u\n", SAMSARA_VERSION,
			       SMR_FILE_MAJOR, SMR_FILE_MINOR);
			return EXIT_OK;
		default:
			return EXIT_USAGE;
		}
	}
	return -1;
}

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < NR_COMMANDS; i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	}
	return NULL;
}

static int run(const struct command *c, const struct options *o)
{
	struct smr_reader *r;
	struct smr_err err;
	int status;

	if (smr_reader_open(&r, o->file, &err)) {
		if (o->json) {
			struct json j = { .f = stdout, .lines = true };

			json_open(&j, NULL, '{');
			json_text(&j, "error", smr_file_errstr(&err));
			json_s64(&j, "code", err.code);
			json_u64(&j, "offset", err.offset);
			json_close(&j, '}');
		}
		fprintf(stderr, "samsara: %s\n", smr_file_errstr(&err));
		return EXIT_UNREADABLE;
	}
	status = c->run(o, r);
	smr_reader_close(r);
	return status;
}

int extent_status(const struct smr_extent *x)
{
	if (!x->initial || !x->replayable)
		return EXIT_UNREADABLE;
	return x->complete && x->trailer && !x->damage.code ? EXIT_OK : EXIT_DAMAGED;
}

int main(int argc, char **argv)
{
	struct options o = { .stream = ANY_STREAM, .to = U64_MAX };
	const struct command *c;
	char *shown;
	int status;

	if (argc > 1 && !strcmp(argv[1], "hunt"))
		return cmd_hunt(argc - 1, argv + 1);
	status = parse_options(argc, argv, &o);
	if (status >= 0)
		return status;
	if (optind == argc)
		return usage_error("no command", NULL);
	c = find_command(argv[optind]);
	if (!c)
		return usage_error("unknown command", argv[optind]);
	if (argc - optind != 2 + c->has_output)
		return usage_error(c->name, c->has_output ? "needs FILE and OUTPUT" :
							    "needs exactly one FILE");
	o.file = argv[optind + 1];
	o.output = argv[optind + 2];
	shown = strdup(o.file);
	if (!shown) {
		perror("samsara");
		return EXIT_UNREADABLE;
	}
	smr_make_printable(shown);
	o.shown = shown;
	status = run(c, &o);
	free(shown);
	if (fflush(stdout) || ferror(stdout)) {
		perror("samsara: can't write the output");
		return EXIT_UNREADABLE;
	}
	return status;
}
