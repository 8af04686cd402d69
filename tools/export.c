// SPDX-License-Identifier: GPL-2.0
/*
 * samsara export: what a guest has left on its disks, sent and received, and shown.  QEMU
 * replays the recording for that; disks begin as copies of their images.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "samsara.h"

#define PIECE		(1u << 20)
#define MAX_DISKS	256u

static char *join(const char *dir, const char *name)
{
	char *path = malloc(strlen(dir) + strlen(name) + 2);

	if (path)
		sprintf(path, "%s/%s", dir, name);
	return path;
}

static bool copy_range(int from, int to, off_t pos, off_t end)
{
	static char buf[PIECE];
	ssize_t n;

	while (pos < end) {
		n = pread(from, buf, (size_t)(end - pos) < PIECE ? (size_t)(end - pos) : PIECE, pos);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return !n;
		if (pwrite(to, buf, (size_t)n, pos) != n)
			return false;
		pos += n;
	}
	return true;
}

/* What is not a hole. */
static bool copy_data(int from, int to, off_t size)
{
	off_t pos, end = 0;

	while (end < size) {
		pos = lseek(from, end, SEEK_DATA);
		if (pos < 0)
			/* nothing but a hole is left */
			return errno == ENXIO;
		end = lseek(from, pos, SEEK_HOLE);
		if (end < 0 || !copy_range(from, to, pos, end))
			return false;
	}
	return true;
}

/* Into a file that nobody takes for a whole one. */
static const char *fill(int from, off_t size, const char *copy)
{
	char *part = malloc(strlen(copy) + 6);
	const char *wrong = NULL;
	int to = -1;

	if (part) {
		sprintf(part, "%s.part", copy);
		to = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	}
	if (to < 0 || ftruncate(to, size) < 0 || !copy_data(from, to, size) || close(to) ||
	    rename(part, copy))
		wrong = strerror(errno);
	free(part);
	return wrong;
}

/* A recording comes from anybody. Returns NULL, or what is wrong with its image. */
static const char *copy_image(const char *path, u64 size, const char *copy)
{
	const char *wrong;
	struct stat st;
	int from;

	if (stat(path, &st) < 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "not a file";
	if ((u64)st.st_size != size)
		return "it has another size now";
	from = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (from < 0)
		return strerror(errno);
	wrong = fill(from, st.st_size, copy);
	close(from);
	return wrong;
}

/* The image that "SIZE NAME FORMAT PATH" is about, if it can be the beginning. */
static const char *begin_from(const struct options *o, const char *copy, u64 size,
			      const char *format, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL, *wrong;
	char *moved;

	/* The user has put it there. */
	if (!access(copy, F_OK))
		return NULL;
	if (!slash)
		return "where it begins is in no single image";
	if (strcmp(format, "raw"))
		return "its image is not a raw one";
	if (!o->images)
		return copy_image(path, size, copy);
	moved = join(o->images, slash + 1);
	wrong = moved ? copy_image(moved, size, copy) : "out of memory";
	free(moved);
	return wrong;
}

static void begin_disk(const struct options *o, char *what, unsigned int n)
{
	char *size = strsep(&what, " "), *format;
	const char *wrong = "its description is damaged";
	char to[32], *copy;
	u64 bytes;

	strsep(&what, " ");	/* its name */
	format = strsep(&what, " ");
	snprintf(to, sizeof(to), "disk%u.img", n);
	copy = join(o->output, to);
	if (copy && format && get_number(size, 10, &bytes))
		wrong = begin_from(o, copy, bytes, format, what);
	if (wrong)
		fprintf(stderr, "samsara: %s: %s: it has only what the guest has written; to have all, put there what was on the disk before, as a raw image\n",
			to, wrong);
	free(copy);
}

static bool begin_disks(const struct options *o, struct smr_reader *r)
{
	char *rest, *line;
	struct smr_err err;
	unsigned int n = 0;
	void *text;
	size_t len;

	if (smr_reader_blob(r, "outputs", &text, &len, &err)) {
		fprintf(stderr, "samsara: %s: no notes of what devices got: %s\n", o->shown,
			smr_file_errstr(&err));
		return false;
	}
	if (mkdir(o->output, 0700) && errno != EEXIST) {
		fprintf(stderr, "samsara: can't make the directory %s: %s\n", o->output,
			strerror(errno));
		free(text);
		return false;
	}
	rest = text;
	while (n < MAX_DISKS && (line = strsep(&rest, "\n"))) {
		if (!strncmp(line, "disk ", 5))
			begin_disk(o, line + 5, n++);
	}
	free(text);
	return true;
}

static char *replay_argument(const struct options *o)
{
	const char *images = o->images ? o->images : "";
	char *arg = malloc(64 + 2 * (strlen(o->file) + strlen(o->output) + strlen(images))), *p;

	if (!arg)
		return NULL;
	p = put_value(arg, "file", o->file);
	p = put_value(p, ",export", o->output);
	if (o->images)
		put_value(p, ",images", o->images);
	return arg;
}

/* In the child. */
static void replay(const struct options *o, const char *qemu)
{
	char *text = join(o->output, "serial.txt"), *arg = replay_argument(o);
	int out = text ? open(text, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600) : -1;

	if (!arg || out < 0 || dup2(out, 1) < 0)
		perror("samsara: serial.txt");
	else if (execlp(qemu, qemu, "-display", "none", "-replay", arg, (char *)NULL))
		fprintf(stderr, "samsara: %s: %s\n", qemu, strerror(errno));
	_exit(127);
}

int cmd_export(const struct options *o, struct smr_reader *r)
{
	const char *qemu;
	int status;
	pid_t pid;

	if (o->perfetto)
		return export_trace(o, r);
	if (o->from || o->to != U64_MAX || o->symbols) {
		fprintf(stderr,
			"samsara: export: --from, --to and --symbols are of --perfetto\n");
		return EXIT_USAGE;
	}
	qemu = find_qemu(NULL);
	if (!qemu || !begin_disks(o, r))
		return EXIT_UNREADABLE;
	fflush(NULL);
	pid = fork();
	if (!pid)
		replay(o, qemu);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0) {
		perror("samsara: fork");
		return EXIT_UNREADABLE;
	}
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return EXIT_OK;
	fprintf(stderr, "samsara: the replay has failed: what is in %s is not complete\n", o->output);
	return EXIT_UNREADABLE;
}
