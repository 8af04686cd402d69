// SPDX-License-Identifier: GPL-2.0
/* samsara replay: gives the recording to QEMU, and the rest of the command line, too. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "samsara.h"

struct replay {
	const char *qemu;	/* NULL: the one that is found */
	const char *images;	/* NULL: where they were */
	const char *options;	/* more of -replay */
	char **operands;	/* FILE, and QEMU's options */
	int nr_operands;
};

static void replay_usage(void)
{
	printf("usage: samsara replay [OPTION]... FILE [QEMU OPTION]...\n\n"
	       "Repeats what was recorded: QEMU -display none -replay file=FILE [QEMU OPTION]...\n"
	       "What the guest wrote to its consoles appears on standard output.\n\n"
	       "  --qemu PROGRAM    default: what the environment variable QEMU says, or\n"
	       "                    qemu-samsara or qemu-system-x86_64\n"
	       "  --images DIR      disk images are there, if not where they were\n"
	       "  --replay OPTIONS  more for -replay, as stop-at=100,at-end=pause\n\n"
	       "exit status: QEMU's, 0 the replay was exact, 1 QEMU can't be run or refuses, 2 the\n"
	       "recording can't be read, 3 it was made on another CPU model, 4 the replay diverged,\n"
	       "5 the kernel could not go on; 64 wrong usage\n");
}

static int replay_usage_error(const char *what)
{
	fprintf(stderr, "samsara replay: %s\nTry 'samsara replay --help'.\n", what);
	return EXIT_USAGE;
}

/* Returns -1 to go on, else an exit status. */
static int replay_options(int argc, char **argv, struct replay *p)
{
	static const struct option longs[] = {
		{ "qemu",	required_argument, NULL, 'q' },
		{ "images",	required_argument, NULL, 'i' },
		{ "replay",	required_argument, NULL, 'r' },
		{ "help",	no_argument,	   NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "+h", longs, NULL)) != -1) {
		switch (c) {
		case 'q':
			p->qemu = optarg;
			break;
		case 'i':
			p->images = optarg;
			break;
		case 'r':
			p->options = optarg;
			break;
		case 'h':
			replay_usage();
			return EXIT_OK;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return replay_usage_error("no recording");
	p->operands = argv + optind;
	p->nr_operands = argc - optind;
	return -1;
}

static char *replay_argument(const struct replay *p)
{
	const char *images = p->images ? p->images : "", *options = p->options ? p->options : "";
	char *arg = malloc(64 + 2 * (strlen(p->operands[0]) + strlen(images)) + strlen(options));
	char *end;

	if (!arg)
		return NULL;
	end = put_value(arg, "file", p->operands[0]);
	if (p->images)
		end = put_value(end, ",images", images);
	if (*options)
		sprintf(end, ",%s", options);
	return arg;
}

/* Returns only if that is not possible. */
static int become_qemu(const struct replay *p, const char *qemu)
{
	int n = 0, i;
	char **argv = calloc((size_t)p->nr_operands + 5, sizeof(*argv));
	char *arg = replay_argument(p);

	if (argv && arg) {
		argv[n++] = (char *)qemu;
		/* a display that is asked for comes later, and counts */
		argv[n++] = "-display";
		argv[n++] = "none";
		argv[n++] = "-replay";
		argv[n++] = arg;
		for (i = 1; i < p->nr_operands; i++)
			argv[n++] = p->operands[i];
		execvp(qemu, argv);
	}
	perror("samsara: QEMU");
	free(arg);
	free(argv);
	return EXIT_SETUP;
}

int cmd_replay(int argc, char **argv)
{
	struct replay p = { .nr_operands = 0 };
	int status = replay_options(argc, argv, &p);
	struct smr_reader *r;
	struct smr_err err;
	const char *qemu;

	if (status >= 0)
		return status;
	if (smr_reader_open(&r, p.operands[0], &err)) {
		fprintf(stderr, "samsara: %s\n", smr_file_errstr(&err));
		return EXIT_UNREADABLE;
	}
	smr_reader_close(r);
	qemu = find_qemu(p.qemu);
	return qemu ? become_qemu(&p, qemu) : EXIT_SETUP;
}
