// SPDX-License-Identifier: GPL-2.0
#include "samsara.h"

static void next(struct json *j, const char *key)
{
	if (j->comma)
		fputc(',', j->f);
	if (j->lines && j->depth)
		fprintf(j->f, "\n%*s", 2 * j->depth, "");
	else if (j->comma)
		fputc(' ', j->f);
	if (key)
		fprintf(j->f, "\"%s\": ", key);
	j->comma = true;
}

void json_open(struct json *j, const char *key, char bracket)
{
	next(j, key);
	fputc(bracket, j->f);
	j->comma = false;
	j->depth++;
}

void json_close(struct json *j, char bracket)
{
	j->depth--;
	if (j->lines && j->comma)
		fprintf(j->f, "\n%*s", 2 * j->depth, "");
	fputc(bracket, j->f);
	j->comma = true;
	if (!j->depth) {
		fputc('\n', j->f);
		j->comma = false;
	}
}

void json_u64(struct json *j, const char *key, u64 v)
{
	next(j, key);
	fprintf(j->f, "%llu", (unsigned long long)v);
}

void json_s64(struct json *j, const char *key, s64 v)
{
	next(j, key);
	fprintf(j->f, "%lld", (long long)v);
}

void json_hex(struct json *j, const char *key, u64 v)
{
	next(j, key);
	fprintf(j->f, "\"0x%llx\"", (unsigned long long)v);
}

void json_bool(struct json *j, const char *key, bool v)
{
	next(j, key);
	fputs(v ? "true" : "false", j->f);
}

void json_real(struct json *j, const char *key, double v)
{
	next(j, key);
	fprintf(j->f, "%.6f", v);
}

/* Not every file name is UTF-8; JSON has to be. */
void json_text(struct json *j, const char *key, const char *s)
{
	u32 len;

	next(j, key);
	fputc('"', j->f);
	for (; *s; s += len) {
		len = smr_printable_len(s);
		if (*s == '"' || *s == '\\')
			fputc('\\', j->f);
		if (len)
			fwrite(s, len, 1, j->f);
		else
			fprintf(j->f, "\\u%04x", (u8)*s < 0x80 ? (u8)*s : 0xfffd);
		len += !len;
	}
	fputc('"', j->f);
}

void json_bytes(struct json *j, const char *key, const u8 *p, u32 len)
{
	next(j, key);
	fputc('"', j->f);
	while (len--)
		fprintf(j->f, "%02x", *p++);
	fputc('"', j->f);
}
