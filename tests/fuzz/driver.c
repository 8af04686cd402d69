// SPDX-License-Identifier: GPL-2.0
/*
 * Stand-in for libFuzzer where there is no clang: changes the files of the
 * corpus at random, without guidance.
 *
 *	fuzz_x -max_total_time=SECONDS [-seed=N] DIRECTORY
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fuzz.h"
#include "gen.h"

#define MAX_FILES	256
#define MAX_SIZE	(1u << 20)

static struct {
	u8 *p;
	size_t len;
} corpus[MAX_FILES];
static u32 nr_files;

static void load(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char name[1024];
	FILE *f;

	while (d && nr_files < MAX_FILES && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", dir, e->d_name);
		f = fopen(name, "rb");
		if (!f)
			continue;
		corpus[nr_files].p = malloc(MAX_SIZE);
		corpus[nr_files].len = fread(corpus[nr_files].p, 1, MAX_SIZE, f);
		nr_files++;
		fclose(f);
	}
	if (d)
		closedir(d);
}

static size_t mutate(struct rng *r, u8 *p, size_t len)
{
	u64 n = 1 + rng_below(r, 8);

	while (n-- && len) {
		switch (rng_below(r, 4)) {
		case 0:
			p[rng_below(r, len)] ^= (u8)(1u << rng_below(r, 8));
			break;
		case 1:
			p[rng_below(r, len)] = (u8)rng_next(r);
			break;
		case 2:
			p[rng_below(r, len)] = rng_below(r, 2) ? 0xff : 0;
			break;
		case 3:
			if (!rng_below(r, 8))
				len = rng_below(r, len + 1);
			break;
		}
	}
	return len;
}

int main(int argc, char **argv)
{
	long seconds = 10;
	u64 runs = 0;
	struct rng r = { 1 };
	time_t end;
	u8 *p = malloc(MAX_SIZE);
	size_t len;
	u32 k;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strncmp(argv[i], "-max_total_time=", 16))
			seconds = atol(argv[i] + 16);
		else if (!strncmp(argv[i], "-seed=", 6))
			r.state = strtoull(argv[i] + 6, NULL, 0);
		else if (argv[i][0] != '-')
			load(argv[i]);
	}
	if (!nr_files || !p) {
		fprintf(stderr, "%s: no corpus\n", argv[0]);
		return 1;
	}
	end = time(NULL) + seconds;
	for (; time(NULL) < end; runs++) {
		k = (u32)rng_below(&r, nr_files);
		memcpy(p, corpus[k].p, corpus[k].len);
		len = runs < nr_files ? corpus[k].len : mutate(&r, p, corpus[k].len);
		LLVMFuzzerTestOneInput(p, len);
	}
	free(p);
	printf("%s: %llu runs in %ld s\n", argv[0], (unsigned long long)runs, seconds);
	return 0;
}
