// SPDX-License-Identifier: GPL-2.0
/* Names of positions, from symbol tables that are right, and that are not. */
#include "test.h"

#include <elf.h>
#include <unistd.h>

#include "change.h"
#include "files.h"
#include "forge.h"
#include "gen.h"
#include "runtool.h"

#define TEXT		0xffffffff81000000ull
#define TEXT_SIZE	0x1000u

/* A kernel with one section of code, and of data. */
static struct {
	Elf64_Ehdr header;
	Elf64_Shdr section[5];
	Elf64_Sym symbol[8];
	char names[80];
} elf;

enum { NONE, CODE, DATA, SYMBOLS, NAMES };

static char vmlinux[64];

static void add_symbol(u32 i, const char *name, u64 addr, u64 size, u8 type, u16 section)
{
	static size_t at;

	if (i == 1)
		at = 1;
	assert_true(at + strlen(name) < sizeof(elf.names));
	elf.symbol[i] = (Elf64_Sym) { .st_name = (Elf64_Word)at, .st_value = addr, .st_size = size,
		.st_info = ELF64_ST_INFO(STB_GLOBAL, type), .st_shndx = section };
	at += (size_t)sprintf(elf.names + at, "%s", name) + 1;
}

static void make_kernel(void)
{
	memset(&elf, 0, sizeof(elf));
	memcpy(elf.header.e_ident, ELFMAG, SELFMAG);
	elf.header.e_ident[EI_CLASS] = ELFCLASS64;
	elf.header.e_ident[EI_DATA] = ELFDATA2LSB;
	elf.header.e_ident[EI_VERSION] = EV_CURRENT;
	elf.header.e_type = ET_EXEC;
	elf.header.e_machine = EM_X86_64;
	elf.header.e_version = EV_CURRENT;
	elf.header.e_ehsize = sizeof(elf.header);
	elf.header.e_shoff = offsetof(__typeof__(elf), section);
	elf.header.e_shentsize = sizeof(Elf64_Shdr);
	elf.header.e_shnum = 5;
	elf.section[CODE] = (Elf64_Shdr) { .sh_type = SHT_NOBITS, .sh_addr = TEXT,
		.sh_size = TEXT_SIZE, .sh_flags = SHF_ALLOC | SHF_EXECINSTR };
	elf.section[DATA] = (Elf64_Shdr) { .sh_type = SHT_NOBITS, .sh_addr = TEXT + TEXT_SIZE,
		.sh_size = TEXT_SIZE, .sh_flags = SHF_ALLOC };
	elf.section[SYMBOLS] = (Elf64_Shdr) { .sh_type = SHT_SYMTAB, .sh_link = NAMES,
		.sh_offset = offsetof(__typeof__(elf), symbol), .sh_size = sizeof(elf.symbol),
		.sh_entsize = sizeof(Elf64_Sym), .sh_addralign = 8 };
	elf.section[NAMES] = (Elf64_Shdr) { .sh_type = SHT_STRTAB,
		.sh_offset = offsetof(__typeof__(elf), names), .sh_size = sizeof(elf.names),
		.sh_addralign = 1 };
	add_symbol(1, "idle", TEXT + 0x100, 0x10, STT_FUNC, CODE);
	add_symbol(2, "label", TEXT + 0x100, 0, STT_NOTYPE, CODE);
	add_symbol(3, "entry", TEXT + 0x20, 0, STT_NOTYPE, CODE);
	add_symbol(4, "data", TEXT + TEXT_SIZE, 8, STT_OBJECT, DATA);
	add_symbol(5, "a\033]0;b\007", TEXT + 0x300, 0x10, STT_FUNC, CODE);
	add_symbol(6, "last", TEXT + 0xf00, 0x9000, STT_FUNC, CODE);
	add_symbol(7, "outside", TEXT + 0x5000, 0x10, STT_FUNC, CODE);
	spit(vmlinux, (const u8 *)&elf, sizeof(elf));
}

/* The positions of the ends, one after the other. */
static const struct {
	u64 rip;
	const char *name;	/* NULL: none */
} positions[] = {
	{ TEXT + 0x1f, NULL },
	{ TEXT + 0x20, "entry+0x0" },
	{ TEXT + 0xff, "entry+0xdf" },
	{ TEXT + 0x100, "idle+0x0" },
	{ TEXT + 0x10f, "idle+0xf" },
	{ TEXT + 0x110, NULL },
	{ TEXT + 0x305, NULL },
	{ TEXT + 0xfff, "last+0xff" },
	{ TEXT + 0x1000, NULL },
	{ TEXT + 0x5001, NULL },
	{ 0, NULL },
	{ U64_MAX, NULL },
};

#define NR_POSITIONS	(sizeof(positions) / sizeof(positions[0]))

static u32 used;

static void set_position(struct smr_record *rec, u64 n)
{
	(void)n;
	if (rec->type == SMR_CHUNK && rec->end == SMR_END_ASYNC)
		rec->pos.rip = positions[used++ % NR_POSITIONS].rip;
}

static int run_with_symbols(const char *command, const char *options)
{
	char rest[160];

	snprintf(rest, sizeof(rest), "%s --symbols %s", options, vmlinux);
	return run_on(command, path2, rest);
}

static int set_up(void **state)
{
	int ret = files_set_up(state);

	snprintf(vmlinux, sizeof(vmlinux), "%s/vmlinux", files_dir);
	generate(&(struct gen_options){ .nr_vcpus = 2, .commits = 400, .seed = 4 });
	used = 0;
	copy_changed(set_position, 0, NULL);
	return ret || used < 2 * NR_POSITIONS ? -1 : 0;
}

/* Every position is there, with its name if it has one. */
static void assert_positions(const char *before, const char *named, const char *after)
{
	char text[96];
	u32 i;

	for (i = 0; i < NR_POSITIONS; i++) {
		snprintf(text, sizeof(text), "%s0x%llx%s%s%s", before,
			 (unsigned long long)positions[i].rip,
			 positions[i].name ? named : "", positions[i].name ? positions[i].name : "",
			 after);
		assert_says(text);
	}
}

static void test_names(void **state)
{
	char trace[64];
	u32 named = 0, i;
	struct bytes b;

	(void)state;
	make_kernel();
	for (i = 0; i < used; i++)
		named += positions[i % NR_POSITIONS].name != NULL;
	assert_int_equal(run_with_symbols("dump", ""), 0);
	assert_positions(" rip ", " <", "");
	assert_int_equal(lines_with(" <"), named);
	assert_int_equal(run_with_symbols("dump", "--json"), 0);
	assert_positions("\"rip\": \"", "\", \"symbol\": \"", "\"");
	assert_int_equal(lines_with("\"symbol\""), named);
	snprintf(trace, sizeof(trace), "%s/trace", files_dir);
	snprintf(trace, sizeof(trace), "%s/trace --perfetto", files_dir);
	assert_int_equal(run_with_symbols("export", trace), 0);
	snprintf(trace, sizeof(trace), "%s/trace", files_dir);
	b = slurp(trace);
	assert_true(b.len < sizeof(out));
	memcpy(out, b.p, b.len);
	out[b.len] = 0;
	free(b.p);
	assert_positions("\"rip\": \"", "\", \"symbol\": \"", "\"");
	assert_int_equal(lines_with("\"symbol\""), named);
}

/* Functions are counted, not positions in them. */
static void test_report(void **state)
{
	char text[64];
	u32 i, idle = 0;

	(void)state;
	make_kernel();
	for (i = 0; i < used; i++)
		idle += positions[i % NR_POSITIONS].name &&
			!strncmp(positions[i % NR_POSITIONS].name, "idle", 4);
	assert_int_equal(run_with_symbols("report", ""), 0);
	assert_says("Functions in which chunks ended asynchronously:\n");
	snprintf(text, sizeof(text), "  %12u ", idle);
	assert_says(text);
	assert_int_equal(lines_with(" %  idle"), 1);
	assert_int_equal(lines_with("idle+"), 0);
	assert_int_equal(lines_with(" %  0xffffffff8100001f"), 1);
}

static void test_no_symbols(void **state)
{
	(void)state;
	make_kernel();
	elf.section[SYMBOLS].sh_type = SHT_PROGBITS;
	spit(vmlinux, (const u8 *)&elf, sizeof(elf));
	assert_int_equal(run_with_symbols("dump", ""), 2);
	assert_says("vmlinux: has no symbols\n");
	make_kernel();
	elf.header.e_type = ET_REL;
	spit(vmlinux, (const u8 *)&elf, sizeof(elf));
	assert_int_equal(run_with_symbols("dump", ""), 2);
	assert_says("not an executable with symbols");
	make_kernel();
	elf.section[CODE].sh_flags = 0;
	spit(vmlinux, (const u8 *)&elf, sizeof(elf));
	assert_int_equal(run_with_symbols("dump", ""), 2);
	assert_says("has no symbols of code");
	spit(vmlinux, (const u8 *)&elf, 0);
	assert_int_equal(run_with_symbols("dump", ""), 2);
	assert_int_equal(run_on("dump", path2, "--symbols /dev/null"), 2);
	assert_says("/dev/null: not a regular file");
	assert_int_equal(run_on("dump", path2, "--symbols /nonexistent"), 2);
	assert_int_equal(run_on("verify", path2, "--symbols /nonexistent"), 64);
	assert_int_equal(run_on("export", path2, "x --symbols /etc/passwd"), 2);
}

/* Whatever the file is, it is an error, or names are found in it. */
static void test_damaged(void **state)
{
	struct rng rng = { 8 };
	u8 *p = (u8 *)&elf;
	size_t at;
	int i, ret;

	(void)state;
	for (i = 0; i < 120; i++) {
		make_kernel();
		if (i % 4) {
			/* The names are not what is interesting. */
			at = rng_below(&rng, offsetof(__typeof__(elf), names));
			p[at] ^= (u8)(1 + rng_below(&rng, 255));
			spit(vmlinux, p, sizeof(elf));
		} else {
			spit(vmlinux, p, rng_below(&rng, sizeof(elf)));
		}
		ret = run_with_symbols("dump", "--to 5");
		assert_true(ret == 0 || ret == 2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_no_symbols),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests_name("symbols", tests, set_up, files_tear_down);
}
