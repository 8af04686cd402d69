// SPDX-License-Identifier: GPL-2.0
/* samsara: look into recordings without QEMU; replay them; record until a run fails. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "samsara.h"

static const struct command {
	const char *name;
	int (*run)(const struct options *o, struct smr_reader *r);
	const char *operands;
	const char *takes;	/* letters of option_table */
	const char *help;
	const char *status;	/* what the exit status says, if it is not about a file */
} commands[] = {
	{ "info",   cmd_info,   "FILE", "aj",
	  "what was recorded, how much of it can be replayed, sizes", NULL },
	{ "dump",   cmd_dump,   "FILE", "jvfts",
	  "all records in commit order, one line each", NULL },
	{ "verify", cmd_verify, "FILE", "j",
	  "check everything that can be checked without replaying", NULL },
	{ "pack",   cmd_pack,   "FILE OUTPUT", "i",
	  "copy it to OUTPUT, with what was read from disk images", NULL },
	{ "cut",    cmd_cut,    "FILE OUTPUT", "t",
	  "copy the commits up to --to N to OUTPUT, which ends there",
	  "exit status: 0 it was written, 2 it was not, 64 wrong usage\n" },
	{ "recover", cmd_recover, "FILE OUTPUT", "",
	  "copy what can be replayed of a cut or damaged file to OUTPUT", NULL },
	{ "diff",   cmd_diff,   "FILE OTHER", "js",
	  "the first commit at which two recordings differ, and in what",
	  "exit status: 0 the same, 1 they differ, 2 they can't be compared, 64 wrong usage\n" },
	{ "report", cmd_report, "FILE", "jsw",
	  "what ended chunks and where, interrupts, what the log consists of", NULL },
	{ "export", cmd_export, "FILE OUTPUT", "ipfts",
	  "replay it; disks, packets and consoles go to the directory OUTPUT", NULL },
};

#define NR_COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static const struct {
	const char *name;
	int has_argument;
	char letter;
	const char *shown, *help;
} option_table[] = {
	{ "all", no_argument, 'a', "--all",
	  "counts, parts of the log, stored descriptions, too" },
	{ "json", no_argument, 'j', "--json",
	  "for programs: an object; dump: an object per line" },
	{ "vcpu", required_argument, 'v', "--vcpu N|vm",
	  "records of one vCPU, or of the VM, only" },
	{ "from", required_argument, 'f', "--from N",
	  "commits from N on" },
	{ "to", required_argument, 't', "--to N",
	  "commits up to N" },
	{ "symbols", required_argument, 's', "--symbols VMLINUX",
	  "names of functions for positions, from the guest's kernel" },
	{ "html", required_argument, 'w', "--html OUTPUT",
	  "a page with charts" },
	{ "perfetto", no_argument, 'p', "--perfetto",
	  "the log as a trace for Perfetto in OUTPUT; no replay" },
	{ "images", required_argument, 'i', "--images DIR",
	  "disk images are there, if not where they were" },
};

#define NR_OPTIONS	(sizeof(option_table) / sizeof(option_table[0]))

static const char status_help[] =
	"exit status: 0 whole, 1 cut or damaged but replayable up to a commit,\n"
	"2 no recording or nothing to replay, 64 wrong usage\n";

static void usage(void)
{
	size_t i;

	printf("usage: samsara COMMAND FILE [OUTPUT] [OPTION]...\n\n");
	for (i = 0; i < NR_COMMANDS; i++)
		printf("  %-8s %s\n", commands[i].name, commands[i].help);
	printf("  %-8s %s\n", "replay", "repeat what was recorded, by QEMU");
	printf("  %-8s %s\n\n", "hunt", "record until a run fails");
	printf("samsara COMMAND --help tells the options of each; --version\n\n%s", status_help);
}

static void command_usage(const struct command *c)
{
	size_t i;

	printf("usage: samsara %s %s%s\n\n%s\n\n", c->name, c->operands,
	       *c->takes ? " [OPTION]..." : "", c->help);
	for (i = 0; i < NR_OPTIONS; i++) {
		if (strchr(c->takes, option_table[i].letter))
			printf("  %-18s %s\n", option_table[i].shown, option_table[i].help);
	}
	printf("%s%s", *c->takes ? "\n" : "", c->status ? c->status : status_help);
}

static int usage_error(const char *what, const char *arg)
{
	fprintf(stderr, "samsara: %s%s%s\nTry 'samsara --help'.\n", what, arg ? ": " : "",
		arg ? arg : "");
	return EXIT_USAGE;
}

char *printable(const char *text)
{
	char *copy = strdup(text);

	if (copy)
		smr_make_printable(copy);
	return copy;
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

/* Returns false if the option's value is none. */
static bool set_option(struct options *o, int letter, const char *value)
{
	switch (letter) {
	case 'a':
		o->all = true;
		return true;
	case 'j':
		o->json = true;
		return true;
	case 'v':
		return get_stream(value, &o->stream);
	case 'f':
		return get_number(value, 0, &o->from);
	case 't':
		return get_number(value, 0, &o->to);
	case 'w':
		o->html = value;
		return true;
	case 's':
		o->symbols_file = value;
		return true;
	case 'p':
		o->perfetto = true;
		return true;
	case 'i':
		o->images = value;
		return true;
	}
	return true;
}

/* What the command line has besides values. */
struct given {
	bool option[NR_OPTIONS];
	bool help, version;
};

/* Returns false after an error message. */
static bool parse_options(int argc, char **argv, struct options *o, struct given *given)
{
	struct option longs[NR_OPTIONS + 3] = {
		[NR_OPTIONS] = { "help", no_argument, NULL, 'h' },
		[NR_OPTIONS + 1] = { "version", no_argument, NULL, 'V' },
	};
	int c, i = -1;

	for (size_t k = 0; k < NR_OPTIONS; k++)
		longs[k] = (struct option){ option_table[k].name, option_table[k].has_argument,
					    NULL, option_table[k].letter };
	while ((c = getopt_long(argc, argv, "h", longs, &i)) != -1) {
		if (c == '?')
			return false;
		given->help |= c == 'h';
		given->version |= c == 'V';
		if (c == 'h' || c == 'V')
			continue;
		given->option[i] = true;
		if (!set_option(o, c, optarg)) {
			fprintf(stderr, "samsara: %s: not \"%s\"\nTry 'samsara --help'.\n",
				option_table[i].shown, optarg);
			return false;
		}
	}
	return true;
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

static int run_command(const struct command *c, const struct options *o)
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

bool in_range(const struct options *o, u64 commit)
{
	return commit >= o->from && commit <= o->to;
}

static int run(const struct command *c, struct options *o)
{
	struct symbols *symbols = NULL;
	int status;

	if (o->symbols_file) {
		symbols = symbols_open(o->symbols_file);
		if (!symbols)
			return EXIT_UNREADABLE;
	}
	o->symbols = symbols;
	status = run_command(c, o);
	symbols_close(symbols);
	return status;
}

int extent_status(const struct smr_extent *x)
{
	if (!x->initial || !x->replayable)
		return EXIT_UNREADABLE;
	return x->complete && x->trailer && !x->damage.code ? EXIT_OK : EXIT_DAMAGED;
}

static bool takes_all(const struct command *c, const struct given *given)
{
	size_t i;

	for (i = 0; i < NR_OPTIONS; i++) {
		if (!given->option[i] || strchr(c->takes, option_table[i].letter))
			continue;
		fprintf(stderr, "samsara: %s takes no --%s\nTry 'samsara %s --help'.\n", c->name,
			option_table[i].name, c->name);
		return false;
	}
	return true;
}

/* Returns -1 to go on, else an exit status. */
static int parse(int argc, char **argv, struct options *o, const struct command **command)
{
	struct given given = { .help = false };
	const struct command *c;

	if (!parse_options(argc, argv, o, &given))
		return EXIT_USAGE;
	if (given.version) {
		printf("samsara %s, recording format %u.%u\n", SAMSARA_VERSION, SMR_FILE_MAJOR,
		       SMR_FILE_MINOR);
		return EXIT_OK;
	}
	if (optind == argc && given.help) {
		usage();
		return EXIT_OK;
	}
	if (optind == argc)
		return usage_error("no command", NULL);
	c = find_command(argv[optind]);
	if (!c)
		return usage_error("unknown command", argv[optind]);
	if (given.help) {
		command_usage(c);
		return EXIT_OK;
	}
	if (!takes_all(c, &given))
		return EXIT_USAGE;
	if (argc - optind != (strchr(c->operands, ' ') ? 3 : 2)) {
		fprintf(stderr, "samsara: %s needs %s\nTry 'samsara %s --help'.\n", c->name,
			c->operands, c->name);
		return EXIT_USAGE;
	}
	o->file = argv[optind + 1];
	o->output = argv[optind + 2];
	*command = c;
	return -1;
}

int main(int argc, char **argv)
{
	struct options o = { .stream = ANY_STREAM, .to = U64_MAX };
	const struct command *c = NULL;
	char *shown, *output_shown;
	int status;

	if (argc > 1 && !strcmp(argv[1], "hunt"))
		return cmd_hunt(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "replay"))
		return cmd_replay(argc - 1, argv + 1);
	status = parse(argc, argv, &o, &c);
	if (status >= 0)
		return status;
	o.shown = shown = printable(o.file);
	o.output_shown = output_shown = printable(o.output ? o.output : "");
	status = EXIT_UNREADABLE;
	if (shown && output_shown)
		status = run(c, &o);
	else
		perror("samsara");
	free(shown);
	free(output_shown);
	if (fflush(stdout) || ferror(stdout)) {
		perror("samsara: can't write the output");
		return EXIT_UNREADABLE;
	}
	return status;
}
