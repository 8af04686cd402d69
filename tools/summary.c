// SPDX-License-Identifier: GPL-2.0
/* What somebody wants to know who has found a recording: samsara info's first lines. */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "samsara.h"

/* Can all of it be shown as it is?  No text is empty. */
static bool is_text(const u8 *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if ((p[i] < ' ' && p[i] != '\n' && p[i] != '\t') || p[i] > '~')
			return false;
	}
	return len > 0;
}

char *read_text(const struct smr_reader *r, const char *name)
{
	size_t len;
	void *data;

	if (smr_reader_blob(r, name, &data, &len, NULL))
		return NULL;
	if (is_text(data, len))
		return data;
	free(data);
	return NULL;
}

/* What a line "@key=..." of @text says, as long as printf()'s %.*s needs it; 0: nothing. */
static int find_value(const char *text, const char *key, const char **value)
{
	size_t len = strlen(key);

	while (text && *text) {
		if (!strncmp(text, key, len) && text[len] == '=') {
			*value = text + len + 1;
			return (int)strcspn(*value, "\n");
		}
		text = strchr(text, '\n');
		text += !!text;
	}
	*value = "";
	return 0;
}

/* The largest piece of RAM: others belong to firmware and devices. */
static u64 largest_block(const char *ram)
{
	u64 size, largest = 0;

	while (ram && *ram) {
		if (sscanf(ram, "%*x %" SCNx64, &size) == 1 && size > largest)
			largest = size;
		ram = strchr(ram, '\n');
		ram += !!ram;
	}
	return largest;
}

/* Older recordings have the memory map only: bytes in its writable slots. */
static u64 writable_slots(const char *map)
{
	u64 size, total = 0;
	char access[3];

	while (map && *map) {
		if (sscanf(map, "%*x %" SCNx64 " %2s", &size, access) == 2 && !strcmp(access, "rw"))
			total += size;
		map = strchr(map, '\n');
		map += !!map;
	}
	return total;
}

static void print_size(u64 bytes)
{
	if (bytes < 10 << 10)
		printf("%llu bytes", ULL(bytes));
	else if (bytes < 10 << 20)
		printf("%llu KiB", ULL(bytes >> 10));
	else
		printf("%llu MiB", ULL(bytes >> 20));
}

static void print_guest(const struct smr_reader *r)
{
	char *machine = read_text(r, "machine"), *map = read_text(r, "memory");
	char *blocks = read_text(r, "ram");
	u32 nr = smr_reader_info(r)->nr_vcpus;
	u64 ram = blocks ? largest_block(blocks) : writable_slots(map);
	const char *value;
	int len;

	len = find_value(machine, "machine", &value);
	printf("  guest       %.*s%s%u vCPU%s", len, value, len ? ", " : "", nr,
	       nr == 1 ? "" : "s");
	if (ram) {
		printf(", ");
		print_size(ram);
		printf(" of memory");
	}
	putchar('\n');
	len = find_value(machine, "cmdline", &value);
	if (len)
		printf("  kernel      %.*s\n", len, value);
	len = find_value(machine, "seed", &value);
	if (len) {
		printf("  chance      seed=%.*s", len, value);
		len = find_value(machine, "chaos", &value);
		printf(",chaos=%.*s\n", len, value);
	}
	free(machine);
	free(map);
	free(blocks);
}

static void format_time(u64 created, char *text, size_t size)
{
	time_t t = (time_t)created;
	struct tm tm;

	if (created > 1ull << 40 || !gmtime_r(&t, &tm) ||
	    !strftime(text, size, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(text, size, "at %llu", ULL(created));
}

static void print_made(const struct smr_file_info *info, const struct smr_extent *x)
{
	char created[40];

	format_time(info->created, created, sizeof(created));
	printf("  recorded    %s by %s on %s\n", created, *info->writer ? info->writer : "(unknown)",
	       *info->host ? info->host : "(unknown)");
	if (x->duration_ns)
		printf("  took        %.3f s, %llu commits\n", (double)x->duration_ns / 1e9,
		       ULL(x->seen));
}

static void print_sizes(const struct smr_totals *t)
{
	printf("  size        ");
	print_size(t->file_bytes);
	printf(": initial state ");
	print_size(t->stored[SMR_SEG_RAM] + t->stored[SMR_SEG_BLOB]);
	printf(", log ");
	print_size(t->stored[SMR_SEG_STREAM]);
	putchar('\n');
}

void print_summary(const struct options *o, const struct smr_reader *r,
		   const struct smr_extent *x, const struct smr_totals *t)
{
	bool whole = x->complete && x->trailer;

	printf("%s\n", o->shown);
	print_guest(r);
	print_made(smr_reader_info(r), x);
	print_sizes(t);
	if (!x->initial)
		printf("  replayable  not at all: the initial state is incomplete\n");
	else if (!x->replayable)
		printf("  replayable  not at all: the first commit is missing\n");
	else
		printf("  replayable  to commit %llu of %llu, %s\n", ULL(x->replayable), ULL(x->seen),
		       whole ? "its end" : "and then it is cut: no clean end");
	if (x->damage.code)
		printf("  damage      %s\n", smr_file_errstr(&x->damage));
	if (x->initial && x->replayable)
		printf("  replay it   samsara replay %s\n", o->shown);
}
