// SPDX-License-Identifier: GPL-2.0
/* samsara pack: a copy of a recording that needs no disk images. */
#include "samsara.h"

int cmd_pack(const struct options *o, struct smr_reader *r)
{
	struct smr_images *images = NULL;
	struct smr_extent x;
	struct smr_err err;
	int ret = smr_reader_extent(r, &x, &err);

	if (!ret && (!x.initial || !x.replayable)) {
		fprintf(stderr, "samsara: %s: nothing can be replayed, nothing was packed\n", o->shown);
		return EXIT_UNREADABLE;
	}
	if (!ret)
		ret = smr_images_open(&images, r, o->images, &err);
	if (!ret)
		ret = copy_recording(r, &x, images, x.replayable, o->output, &err);
	smr_images_close(images);
	if (ret) {
		fprintf(stderr, "samsara: %s\n", smr_file_errstr(&err));
		return EXIT_UNREADABLE;
	}
	return extent_status(&x);
}
