// SPDX-License-Identifier: GPL-2.0
/* Writes the seed corpora: seeds DIRECTORY/codec DIRECTORY/file */
#include <stdio.h>
#include <stdlib.h>

#include "gen.h"

static void die(const char *what)
{
	fprintf(stderr, "seeds: %s\n", what);
	exit(1);
}

static void codec_seed(const char *dir, u64 seed)
{
	static u8 bytes[1 << 16];
	u8 data[SMR_INPUT_MAX], inputs[256];
	struct smr_buf b = { .p = bytes, .size = sizeof(bytes) };
	struct smr_stream s = { 0 };
	struct rng rng = { seed };
	struct smr_record r;
	char name[512];
	FILE *f;
	u64 n;

	for (n = 1; n < 8; n++) {
		gen_record(&rng, 1 + (u8)rng_below(&rng, SMR_VM_END), n, data, &r);
		if (r.type <= SMR_SECTION) {
			r.data = inputs;
			r.data_len = gen_inputs(&rng, &s.tsc, inputs, sizeof(inputs));
		}
		if (smr_encode(&s, &r, &b))
			die("can't encode");
	}
	snprintf(name, sizeof(name), "%s/%llu", dir, (unsigned long long)seed);
	f = fopen(name, "wb");
	if (!f || fwrite(bytes, 1, b.len, f) != b.len || fclose(f))
		die(name);
}

static void file_seed(const char *dir, u64 seed)
{
	struct gen_options o = {
		.nr_vcpus = 1 + seed % 3, .commits = 4 + seed, .flush_every = 3,
		.compress = (int)(seed % 2), .seed = seed, .ram_pages = seed % 4,
		.no_trailer = seed % 4 == 3, .skip = seed % 8 == 5 ? 3 : 0,
	};
	struct smr_err err;
	char name[512];
	FILE *f;

	snprintf(name, sizeof(name), "%s/%llu.smr", dir, (unsigned long long)seed);
	if (gen_recording(name, &o, &err))
		die(err.text);
	/* An odd last byte asks the harness to make the checksums right. */
	f = fopen(name, "ab");
	if (!f || fputc((int)(seed & 1), f) == EOF || fclose(f))
		die(name);
}

int main(int argc, char **argv)
{
	u64 seed;

	if (argc != 3)
		die("usage: seeds CODEC-DIRECTORY FILE-DIRECTORY");
	for (seed = 0; seed < 24; seed++) {
		codec_seed(argv[1], seed);
		file_seed(argv[2], seed);
	}
	return 0;
}
