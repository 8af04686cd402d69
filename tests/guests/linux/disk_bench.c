// SPDX-License-Identifier: GPL-2.0
/*
 * /init of the guest that measures a disk, past the page cache: disk=NAME on the kernel's
 * command line.  Prints "IO WHAT BYTES MICROSECONDS" for each measure.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

#define LARGE	(256u << 10)
#define SMALL	4096u
/* Requests of a random measure */
#define REQUESTS	500u

static unsigned char *buf;
static off_t size;
static uint64_t sum;

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

static off_t random_place(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (off_t)((*state >> 20) % (size / SMALL)) * SMALL;
}

static void read_at(int fd, size_t len, off_t at)
{
	if (pread(fd, buf, len, at) != (ssize_t)len)
		say("IO failed: read\n");
	sum = sum * 31 + buf[0] + buf[len - 1];
}

static void write_at(int fd, size_t len, off_t at)
{
	memset(buf, (int)(at / SMALL), len);
	if (pwrite(fd, buf, len, at) != (ssize_t)len)
		say("IO failed: write\n");
}

static void measure(int fd, const char *what, void (*access)(int, size_t, off_t), off_t total)
{
	uint64_t start = now_us(), state = 1;
	char line[100];
	uint32_t i;
	off_t at;

	if (total) {
		for (at = 0; at < total; at += LARGE)
			access(fd, LARGE, at);
	} else {
		total = REQUESTS * SMALL;
		for (i = 0; i < REQUESTS; i++)
			access(fd, SMALL, random_place(&state));
	}
	snprintf(line, sizeof(line), "IO %s %lld %llu\n", what, (long long)total,
		 (unsigned long long)(now_us() - start));
	say(line);
}

/* The kernel finds some disks a while after it has begun. */
static int open_disk(const char *path)
{
	int fd, tries;

	for (tries = 0; tries < 500; tries++) {
		fd = open(path, O_RDWR | O_DIRECT);
		if (fd >= 0)
			break;
		usleep(10000);
	}
	return fd;
}

/* What the kernel did not understand is in the environment. */
int main(void)
{
	const char *name = getenv("disk");
	char path[64], line[64];
	int fd;

	mkdir("/dev", 0755);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	snprintf(path, sizeof(path), "/dev/%s", name ? name : "vda");
	fd = open_disk(path);
	size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	if (size < (off_t)(64 * LARGE) || posix_memalign((void **)&buf, SMALL, LARGE)) {
		say("IO failed: no disk\n");
		end(1);
	}
	measure(fd, "read", read_at, size);
	measure(fd, "random-read", read_at, 0);
	measure(fd, "write", write_at, size / 2);
	measure(fd, "random-write", write_at, 0);
	snprintf(line, sizeof(line), "RESULT disk %016llx\n", (unsigned long long)sum);
	say(line);
	end(0);
}
