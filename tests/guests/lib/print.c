// SPDX-License-Identifier: GPL-2.0
/*
 * Output and the way out. The debug console (0xe9 or 0x402) reads back 0xe9; if
 * neither does, or with "con=3f8", lines go to the serial port.
 */
#include "guest.h"

#define DEBUGCON	0xe9
#define DEBUGCON_ALT	0x402
#define SERIAL		0x3f8
#define DEBUG_EXIT	0xf4

static u16 con_port;
static u32 con_lock;
static u32 nr_failures;

void console_init(void)
{
	con_port = param("con", 0);
	if (con_port)
		return;
	if (inb(DEBUGCON) == 0xe9)
		con_port = DEBUGCON;
	else if (inb(DEBUGCON_ALT) == 0xe9)
		con_port = DEBUGCON_ALT;
	else
		con_port = SERIAL;
}

static void con_write(const char *s, size_t n)
{
	if (con_port != SERIAL) {
		asm volatile("rep outsb" : "+S"(s), "+c"(n)
			     : "d"(con_port) : "memory");
		return;
	}
	for (; n; n--) {
		while (!(inb(SERIAL + 5) & 0x20))
			cpu_relax();
		outb(SERIAL, *s++);
	}
}

struct buf {
	char s[256];
	size_t n;
};

static void put(struct buf *b, char c)
{
	if (b->n < sizeof(b->s))
		b->s[b->n++] = c;
}

static void put_num(struct buf *b, u64 v, u32 base, u32 width)
{
	char tmp[24];
	u32 n = 0;

	do {
		tmp[n++] = "0123456789abcdef"[v % base];
		v /= base;
	} while (v);
	while (width-- > n)
		put(b, '0');
	while (n)
		put(b, tmp[--n]);
}

/* %s %c %u %x %lu %lx, and a width that pads with zeros. */
static void format(struct buf *b, const char *f, va_list ap)
{
	for (; *f; f++) {
		u32 width = 0;
		bool wide;
		const char *s;

		if (*f != '%') {
			put(b, *f);
			continue;
		}
		for (f++; *f >= '0' && *f <= '9'; f++)
			width = width * 10 + *f - '0';
		wide = *f == 'l';
		f += wide;
		if (*f == 's') {
			for (s = va_arg(ap, const char *); *s; s++)
				put(b, *s);
		} else if (*f == 'c') {
			put(b, va_arg(ap, int));
		} else {
			put_num(b, wide ? va_arg(ap, u64) : va_arg(ap, u32),
				*f == 'x' ? 16 : 10, width ? width : 1);
		}
	}
}

static void emit(const struct buf *b)
{
	while (__atomic_exchange_n(&con_lock, 1, __ATOMIC_ACQUIRE))
		cpu_relax();
	con_write(b->s, b->n);
	__atomic_store_n(&con_lock, 0, __ATOMIC_RELEASE);
}

void print(const char *fmt, ...)
{
	struct buf b = { .n = 0 };
	va_list ap;

	va_start(ap, fmt);
	format(&b, fmt, ap);
	va_end(ap);
	emit(&b);
}

void fail(const char *fmt, ...)
{
	struct buf b = { .n = 0 };
	va_list ap;
	const char *s;

	if (xadd32(&nr_failures, 1) >= 5)
		return;
	for (s = "FAIL "; *s; s++)
		put(&b, *s);
	va_start(ap, fmt);
	format(&b, fmt, ap);
	va_end(ap);
	put(&b, '\n');
	emit(&b);
}

void result(const char *name, const char *fmt, ...)
{
	u32 failures = READ_ONCE(nr_failures);
	struct buf b = { .n = 0 };
	va_list ap;
	const char *s;

	cli();
	for (s = "RESULT "; *s; s++)
		put(&b, *s);
	for (s = name; *s; s++)
		put(&b, *s);
	put(&b, ' ');
	va_start(ap, fmt);
	format(&b, fmt, ap);
	va_end(ap);
	for (s = failures ? " failed\n" : "\n"; *s; s++)
		put(&b, *s);
	emit(&b);
	machine_exit(failures ? EXIT_FAIL : EXIT_PASS);
}

void machine_exit(u8 code)
{
	cli();
	for (;;) {
		outb(DEBUG_EXIT, code);
		asm volatile("hlt");
	}
}
