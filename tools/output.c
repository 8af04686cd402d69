// SPDX-License-Identifier: GPL-2.0
/* Files that are written about a recording. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "samsara.h"
#include "smr_layout.h"

static void complain(const char *path, const char *what)
{
	char *shown = printable(path);

	fprintf(stderr, "samsara: %s: %s\n", shown ? shown : "output", what);
	free(shown);
}

/* It may be the one that is read. */
static bool is_recording(int fd)
{
	char magic[FILE_MAGIC_LEN];

	return pread(fd, magic, sizeof(magic), 0) == sizeof(magic) &&
	       !memcmp(magic, FILE_MAGIC, sizeof(magic));
}

/* Positions and vectors are the guest's secrets like the rest of it. */
FILE *open_output(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	struct stat st;
	FILE *f = NULL;

	if (fd < 0 || fstat(fd, &st) < 0) {
		complain(path, strerror(errno));
	} else if (S_ISREG(st.st_mode) && is_recording(fd)) {
		complain(path, "is a recording; not replaced");
	} else if (S_ISREG(st.st_mode) && ftruncate(fd, 0)) {
		complain(path, strerror(errno));
	} else {
		f = fdopen(fd, "w");
		if (!f)
			complain(path, strerror(errno));
	}
	if (!f && fd >= 0)
		close(fd);
	return f;
}

bool close_output(FILE *f, const char *path)
{
	bool bad = ferror(f);

	if (!fclose(f) && !bad)
		return true;
	complain(path, "can't write all of it");
	return false;
}
