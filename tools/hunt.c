// SPDX-License-Identifier: GPL-2.0
/*
 * samsara hunt: record a guest again and again until a run of it fails, and keep that
 * recording.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "samsara.h"

#define MAX_PATTERNS	16
/* A pattern may begin in one piece of output and end in the next. */
#define MAX_PATTERN	256
/* Seconds in which a guest that has failed may say more of it. */
#define MORE_SECONDS	1
/* Seconds a run has to end its recording when it is told to. */
#define END_SECONDS	60

struct hunt {
	u64 runs;		/* 0: until one fails */
	u64 limit;		/* seconds, 0: none */
	u64 pass;		/* status of a run that is good */
	const char *file;
	const char *options;	/* more of -record */
	const char *patterns[MAX_PATTERNS];
	int nr_patterns;
	bool show;
	char **command;
};

/* What has become of a run. */
struct outcome {
	char failure[MAX_PATTERN + 64];	/* empty: it was good */
	bool broken;		/* it could not be run or recorded */
	double seconds;
};

static void hunt_usage(FILE *f)
{
	fprintf(f, "usage: samsara hunt [OPTION]... -- QEMU [ARGUMENT]...\n\n"
		"Adds -record to the command, runs it again and again until a run fails, and keeps\n"
		"the recording of that. A run fails by its exit status, by what it prints, or if it\n"
		"takes too long.\n\n"
		"  --file FILE       the recording (default hunt.smr)\n"
		"  --runs N          at most (default: until one fails)\n"
		"  --pass STATUS     of a good run (default 0)\n"
		"  --pattern TEXT    a run that prints it has failed; may be repeated. \"Kernel\n"
		"                    panic\" is always one.\n"
		"  --time-limit SEC  a run that takes longer has failed\n"
		"  --record OPTIONS  more for -record, as chaos=3\n"
		"  --show            what the guest prints\n\n"
		"exit status: 0 a run failed and is kept, 1 none did, 2 the command can't be run or\n"
		"recorded, 64 wrong usage\n");
}

static int hunt_usage_error(const char *what)
{
	fprintf(stderr, "samsara hunt: %s\nTry 'samsara hunt --help'.\n", what);
	return EXIT_USAGE;
}

static bool get_count(const char *text, u64 *v)
{
	return get_number(text, 10, v) && *v <= 1000000000;
}

static bool add_pattern(struct hunt *h, const char *text)
{
	if (h->nr_patterns == MAX_PATTERNS || !*text || strlen(text) > MAX_PATTERN)
		return false;
	h->patterns[h->nr_patterns++] = text;
	return true;
}

/* Returns -1 to go on, else an exit status. */
static int hunt_options(int argc, char **argv, struct hunt *h)
{
	static const struct option longs[] = {
		{ "file",	required_argument, NULL, 'f' },
		{ "runs",	required_argument, NULL, 'n' },
		{ "pass",	required_argument, NULL, 's' },
		{ "pattern",	required_argument, NULL, 'p' },
		{ "time-limit",	required_argument, NULL, 't' },
		{ "record",	required_argument, NULL, 'r' },
		{ "show",	no_argument,	   NULL, 'v' },
		{ "help",	no_argument,	   NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "+h", longs, NULL)) != -1) {
		switch (c) {
		case 'f':
			h->file = optarg;
			break;
		case 'n':
			if (!get_count(optarg, &h->runs))
				return hunt_usage_error("--runs: no number");
			break;
		case 's':
			if (!get_count(optarg, &h->pass))
				return hunt_usage_error("--pass: no status");
			break;
		case 'p':
			if (!add_pattern(h, optarg))
				return hunt_usage_error("--pattern: at most 16, of 1 to 256 bytes");
			break;
		case 't':
			if (!get_count(optarg, &h->limit))
				return hunt_usage_error("--time-limit: no number of seconds");
			break;
		case 'r':
			h->options = optarg;
			break;
		case 'v':
			h->show = true;
			break;
		case 'h':
			hunt_usage(stdout);
			return EXIT_OK;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return hunt_usage_error("no command");
	h->command = argv + optind;
	return -1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* "file=FILE,OPTIONS" */
static char *record_argument(const struct hunt *h)
{
	char *arg = malloc(strlen("file=,") + 2 * strlen(h->file) + strlen(h->options) + 1);
	char *p;

	if (!arg)
		return NULL;
	p = put_value(arg, "file", h->file);
	if (*h->options)
		sprintf(p, ",%s", h->options);
	return arg;
}

/* In the child. */
static void execute(char **argv, int out)
{
	int null = open("/dev/null", O_RDONLY);

	if (null < 0 || dup2(null, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
		_exit(127);
	execvp(argv[0], argv);
	dprintf(2, "samsara hunt: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

__attribute__((format(printf, 2, 3)))
static void fails(struct outcome *o, const char *format, ...)
{
	va_list ap;

	/* The first one is the reason. */
	if (o->failure[0])
		return;
	va_start(ap, format);
	vsnprintf(o->failure, sizeof(o->failure), format, ap);
	va_end(ap);
}

struct output {
	char text[MAX_PATTERN + 4096 + 1];
	size_t len;
};

static bool has(const struct output *out, const char *text)
{
	return memmem(out->text, out->len, text, strlen(text));
}

/* More of the run's output.  False: that was all. */
static bool look(const struct hunt *h, int fd, struct output *out, struct outcome *o)
{
	ssize_t n = read(fd, out->text + out->len, sizeof(out->text) - out->len);
	size_t kept;
	int i;

	if (n <= 0)
		return n < 0 && errno == EINTR;
	if (h->show)
		fwrite(out->text + out->len, 1, n, stdout);
	out->len += n;
	for (i = 0; i < h->nr_patterns; i++)
		if (has(out, h->patterns[i]))
			fails(o, "it printed \"%s\"", h->patterns[i]);
	/* as SAMSARA_RECORDING_ENDED: what follows is not in the file */
	if (has(out, "samsara: recording ended"))
		o->broken = true;
	kept = out->len < MAX_PATTERN ? out->len : MAX_PATTERN;
	memmove(out->text, out->text + out->len - kept, kept);
	out->len = kept;
	return true;
}

/* What is done about a run that has failed, and how long it has until the next. */
static const struct {
	int signal;	/* 0: none */
	int seconds;
} ends[] = {
	{ 0, MORE_SECONDS },
	{ SIGTERM, END_SECONDS },
	{ SIGKILL, END_SECONDS },
};

#define NR_ENDS	((int)(sizeof(ends) / sizeof(ends[0])))

/* Milliseconds up to @end, for poll(); @end 0: for ever. */
static int until(double end)
{
	double left = end - now();

	if (!end)
		return -1;
	return left <= 0 ? 0 : left > 1000 ? 1000000 : (int)(left * 1000) + 1;
}

/* Reads all that the run prints, and ends it if it fails. */
static void watch(const struct hunt *h, int fd, pid_t pid, struct outcome *o)
{
	static struct output out;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	double start = now(), end = h->limit ? start + h->limit : 0;
	int step = -1;	/* of ends[]; it has not failed */
	bool over;

	out.len = 0;
	while (poll(&p, 1, until(end)) <= 0 || look(h, fd, &out, o)) {
		over = end && now() >= end;
		if (over)
			fails(o, "it took longer than %llu s", ULL(h->limit));
		if (!o->failure[0] || (step >= 0 && !over))
			continue;
		if (step < NR_ENDS - 1)
			step++;
		if (ends[step].signal)
			kill(pid, ends[step].signal);
		end = now() + ends[step].seconds;
	}
	o->seconds = now() - start;
}

static void judge(const struct hunt *h, int status, struct outcome *o)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
		o->broken = true;
		return;
	}
	if (WIFSIGNALED(status))
		fails(o, "signal %d ended it", WTERMSIG(status));
	else if ((u64)WEXITSTATUS(status) != h->pass)
		fails(o, "its exit status was %d", WEXITSTATUS(status));
}

static bool run_once(const struct hunt *h, char **argv, struct outcome *o)
{
	int fds[2], status = 0;
	pid_t pid;

	*o = (struct outcome) { .failure = "" };
	if (pipe2(fds, O_CLOEXEC))
		return false;
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		execute(argv, fds[1]);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return false;
	}
	watch(h, fds[0], pid, o);
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	judge(h, status, o);
	return true;
}

/* How many of its commits can be replayed; 0: it is no recording. */
static u64 replayable(const char *file)
{
	struct smr_extent x = { 0 };
	struct smr_reader *r;
	struct smr_err err;

	if (smr_reader_open(&r, file, &err))
		return 0;
	if (smr_reader_extent(r, &x, &err))
		x.initial = false;
	smr_reader_close(r);
	return x.initial ? x.replayable : 0;
}

/*
 * A recording of before must not be taken for one of the run that comes.  Anything else of
 * that name is left alone, and QEMU refuses it.
 */
static void forget_last(const char *file)
{
	struct smr_reader *r;
	struct smr_err err;

	if (smr_reader_open(&r, file, &err))
		return;
	smr_reader_close(r);
	unlink(file);
}

static int found(const struct hunt *h, u64 run, const struct outcome *o)
{
	u64 commits = replayable(h->file);

	printf("run %llu, %.1f s: failed: %s\n", ULL(run), o->seconds, o->failure);
	if (!commits) {
		fprintf(stderr, "samsara hunt: %s has nothing to replay, --show tells why\n",
			h->file);
		return EXIT_UNREADABLE;
	}
	printf("kept in %s, %llu commits; to see it again:\n\n", h->file,
	       ULL(commits));
	printf("    %s -display none -replay file=%s\n", h->command[0], h->file);
	return EXIT_OK;
}

static int run_until_failure(const struct hunt *h, char **command)
{
	struct outcome o;
	u64 run;

	for (run = 1; !h->runs || run <= h->runs; run++) {
		forget_last(h->file);
		if (!run_once(h, command, &o)) {
			perror("samsara hunt");
			return EXIT_UNREADABLE;
		}
		if (o.broken) {
			fprintf(stderr, "samsara hunt: run %llu was not recorded, --show tells why\n",
				ULL(run));
			return EXIT_UNREADABLE;
		}
		if (o.failure[0])
			return found(h, run, &o);
		printf("run %llu, %.1f s: good\n", ULL(run), o.seconds);
	}
	return EXIT_DAMAGED;
}

int cmd_hunt(int argc, char **argv)
{
	struct hunt h = { .file = "hunt.smr", .options = "", .nr_patterns = 1,
			  .patterns = { "Kernel panic" } };
	int status = hunt_options(argc, argv, &h), n = 0;
	char **command, *record;

	if (status >= 0)
		return status;
	while (h.command[n])
		n++;
	command = calloc(n + 3, sizeof(*command));
	record = record_argument(&h);
	if (command && record) {
		memcpy(command, h.command, n * sizeof(*command));
		command[n] = "-record";
		command[n + 1] = record;
		status = run_until_failure(&h, command);
	} else {
		perror("samsara hunt");
		status = EXIT_UNREADABLE;
	}
	free(record);
	free(command);
	return status;
}
