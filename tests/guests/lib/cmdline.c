// SPDX-License-Identifier: GPL-2.0
/* "name=value" words of the command line; numbers are decimal or 0x. */
#include "guest.h"

char cmdline[1024];

static u64 number(const char *s)
{
	u32 base = 10;
	u64 v = 0;

	if (s[0] == '0' && s[1] == 'x') {
		base = 16;
		s += 2;
	}
	for (; *s && *s != ' '; s++) {
		u32 d = *s >= 'a' ? *s - 'a' + 10 : *s - '0';

		if (d >= base)
			break;
		v = v * base + d;
	}
	return v;
}

u64 param(const char *name, u64 def)
{
	size_t n = strlen(name);
	const char *s = cmdline;

	while (*s) {
		if (!memcmp(s, name, n) && s[n] == '=')
			return number(s + n + 1);
		while (*s && *s != ' ')
			s++;
		while (*s == ' ')
			s++;
	}
	return def;
}
