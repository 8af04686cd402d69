// SPDX-License-Identifier: GPL-2.0
/* Disk images that a recording names, see smr_file.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "smr_check.h"
#include "smr_reader.h"

struct image {
	char *path;
	u64 size;
	int fd;
};

struct smr_images {
	u32 nr;
	struct image image[SMR_MAX_IMAGES];
};

void smr_images_close(struct smr_images *images)
{
	u32 i;

	if (!images)
		return;
	for (i = 0; i < images->nr; i++) {
		if (images->image[i].fd >= 0)
			close(images->image[i].fd);
		free(images->image[i].path);
	}
	free(images);
}

/* What comes behind the last slash, which is not nothing. */
static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* In @dir, if it is there, or where it was */
static char *find_image(const char *dir, const char *path)
{
	char *moved;

	if (!dir)
		return strdup(path);
	if (asprintf(&moved, "%s/%s", dir, base_name(path)) < 0)
		return NULL;
	if (!access(moved, F_OK))
		return moved;
	free(moved);
	return strdup(path);
}

/* A file comes from anybody: a path may name what blocks, or what is no file at all. */
static int open_image(struct image *image, struct smr_err *err)
{
	struct stat st;

	image->fd = open(image->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (image->fd < 0)
		return smr_fail(err, SMR_FILE_EIMAGE, image->path, 0,
				"can't open this disk image, which the recording needs: %s",
				strerror(errno));
	if (fstat(image->fd, &st) || !S_ISREG(st.st_mode))
		return smr_fail(err, SMR_FILE_EIMAGE, image->path, 0,
				"not a file: no disk image that a recording can need");
	if ((u64)st.st_size != image->size)
		return smr_fail(err, SMR_FILE_EIMAGE, image->path, 0,
				"another disk image than the recording needs: it has %llu bytes, not %llu",
				ULL(st.st_size), ULL(image->size));
	return 0;
}

/* "SIZE PATH" */
static int add_line(struct smr_images *images, const struct smr_reader *r, const char *line,
		    const char *dir, struct smr_err *err)
{
	struct image *image = &images->image[images->nr];
	char *end;

	if (images->nr == SMR_MAX_IMAGES)
		return smr_fail(err, SMR_FILE_EDAMAGED, r->path, 0, "images: more than %u",
				SMR_MAX_IMAGES);
	errno = 0;
	image->size = strtoull(line, &end, 10);
	if (*line < '0' || *line > '9' || errno || *end != ' ' || !*base_name(end + 1) ||
	    !smr_is_printable(end + 1))
		return smr_fail(err, SMR_FILE_EDAMAGED, r->path, 0,
				"images: line %u is no size and path", images->nr + 1);
	image->fd = -1;
	image->path = find_image(dir, end + 1);
	if (!image->path)
		return smr_fail(err, SMR_FILE_EMEM, r->path, 0, "out of memory");
	images->nr++;
	return open_image(image, err);
}

static int add_lines(struct smr_images *images, const struct smr_reader *r, char *text,
		     const char *dir, struct smr_err *err)
{
	char *line, *rest = text;
	int ret = 0;

	while (!ret && (line = strsep(&rest, "\n")) && (*line || rest))
		ret = add_line(images, r, line, dir, err);
	return ret;
}

int smr_images_open(struct smr_images **out, const struct smr_reader *r, const char *dir,
		    struct smr_err *err)
{
	struct smr_images *images;
	void *text;
	size_t len;
	int ret;

	*out = NULL;
	if (!(r->info.incompat & SMR_FILE_IMAGES))
		return 0;
	ret = smr_reader_blob(r, "images", &text, &len, err);
	if (ret)
		return ret;
	images = calloc(1, sizeof(*images));
	if (!images)
		ret = smr_fail(err, SMR_FILE_EMEM, r->path, 0, "out of memory");
	else if (strlen(text) != len)
		ret = smr_fail(err, SMR_FILE_EDAMAGED, r->path, 0, "images: not a text");
	else
		ret = add_lines(images, r, text, dir, err);
	free(text);
	if (ret)
		smr_images_close(images);
	else
		*out = images;
	return ret;
}

static bool read_all(int fd, u8 *to, u32 len, u64 offset)
{
	ssize_t n;

	while (len) {
		n = pread(fd, to, len, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		to += n;
		offset += (u64)n;
		len -= (u32)n;
	}
	return true;
}

int smr_images_fill(const struct smr_images *images, const struct smr_record *ref,
		    u8 data[SMR_DMA_MAX], struct smr_record *rec, struct smr_err *err)
{
	const struct image *image;
	u64 last_tsc = 0;

	if (smr_check_record(ref, &last_tsc) || ref->image >= images->nr)
		return smr_fail(err, SMR_FILE_ERECORD, "images", 0,
				"commit %llu names what can't be in an image",
				ULL(ref->commit_seq));
	image = &images->image[ref->image];
	if (!read_all(image->fd, data, ref->dma_len, ref->image_offset) ||
	    smr_crc32c(0, data, ref->dma_len) != ref->digest)
		return smr_fail(err, SMR_FILE_EIMAGE, image->path, ref->image_offset,
				"not the disk image that was recorded: %u bytes at offset %llu differ",
				ref->dma_len, ULL(ref->image_offset));
	*rec = (struct smr_record) {
		.type = SMR_DMA, .flags = ref->flags, .commit_seq = ref->commit_seq,
		.gpa = ref->gpa, .dma_len = ref->dma_len, .mem_digest = ref->mem_digest,
		.data = data, .data_len = ref->dma_len,
	};
	return 0;
}

int smr_images_check(const struct smr_images *images, const struct smr_reader *r, u64 limit,
		     struct smr_err *err)
{
	struct smr_record rec;
	struct smr_log *l;
	int ret;

	if (!images)
		return 0;
	ret = smr_log_open(&l, r, r->info.nr_vcpus, limit, err);
	if (ret)
		return ret;
	ret = smr_log_use_images(l, images, err);
	while (!ret && (ret = smr_log_next(l, &rec, NULL, NULL, err)) > 0)
		ret = 0;
	smr_log_close(l);
	return ret;
}
