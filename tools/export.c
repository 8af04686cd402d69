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

#define PIECE	(1u << 20)

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

/* Returns NULL, or what is wrong. */
static const char *copy_image(const char *path, const char *copy)
{
	int from = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), to = -1;
	const char *wrong = NULL;
	struct stat st;

	if (from < 0 || fstat(from, &st) < 0)
		wrong = strerror(errno);
	else if (!S_ISREG(st.st_mode))
		wrong = "not a file";
	else
		to = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (!wrong && to < 0)
		wrong = errno == EEXIST ? NULL : strerror(errno);
	else if (!wrong && (ftruncate(to, st.st_size) < 0 || !copy_data(from, to, st.st_size)))
		wrong = strerror(errno);
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return wrong;
}

/* "SIZE NAME FORMAT PATH" */
static void begin_disk(const struct options *o, char *what, unsigned int n)
{
	char *name, *format, *path = NULL, *moved = NULL, *copy;
	char to[32];
	const char *wrong;

	strsep(&what, " ");
	name = strsep(&what, " ");
	format = strsep(&what, " ");
	path = what;
	snprintf(to, sizeof(to), "disk%u.img", n);
	copy = join(o->output, to);
	if (path && o->images)
		moved = join(o->images, strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
	if (!copy || (path && o->images && !moved))
		wrong = "out of memory";
	else if (!path || strcmp(format, "raw"))
		wrong = access(copy, F_OK) ? "its image is not a raw one" : NULL;
	else
		wrong = copy_image(moved ? moved : path, copy);
	if (wrong)
		fprintf(stderr, "samsara: %s (%s): %s: it has only what the guest has written; to have all, put the image as it was there first, as a raw one\n",
			to, name ? name : "?", wrong);
	free(copy);
	free(moved);
}

static bool begin_disks(const struct options *o, struct smr_reader *r)
{
	char *text = read_text(r, "outputs"), *rest = text, *line;
	unsigned int n = 0;

	if (!text) {
		fprintf(stderr, "samsara: %s: an older recording, which has no notes for this\n",
			o->shown);
		return false;
	}
	if (mkdir(o->output, 0700) && errno != EEXIST) {
		fprintf(stderr, "samsara: can't make the directory %s: %s\n", o->output,
			strerror(errno));
		free(text);
		return false;
	}
	while ((line = strsep(&rest, "\n"))) {
		if (!strncmp(line, "disk ", 5))
			begin_disk(o, line + 5, n++);
	}
	free(text);
	return true;
}

/* QEMU wants commas in a value twice. */
static char *put_value(char *p, const char *key, const char *value)
{
	p = stpcpy(stpcpy(p, key), "=");
	for (; *value; value++) {
		if (*value == ',')
			*p++ = ',';
		*p++ = *value;
	}
	*p = '\0';
	return p;
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
static void replay(const struct options *o)
{
	const char *qemu = getenv("QEMU") ? getenv("QEMU") : "qemu-system-x86_64";
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
	int status;
	pid_t pid;

	if (!begin_disks(o, r))
		return EXIT_UNREADABLE;
	fflush(NULL);
	pid = fork();
	if (!pid)
		replay(o);
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
