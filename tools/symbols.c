// SPDX-License-Identifier: GPL-2.0
#include "symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "samsara.h"

#define MAX_SYMBOLS	(1u << 23)

struct symbol {
	u64 start, end;		/* the first address, and the one behind it */
	const char *name;
	bool sized;		/* the file says how long it is */
};

struct symbols {
	int fd;
	Elf *elf;		/* has the names */
	u32 nr;
	struct symbol *symbol;	/* in ascending order, no two at an address */
};

void symbols_close(struct symbols *s)
{
	if (!s)
		return;
	if (s->elf)
		elf_end(s->elf);
	if (s->fd >= 0)
		close(s->fd);
	free(s->symbol);
	free(s);
}

/* Where the code ends that the symbol is in; 0: it is in none. */
static u64 end_of_code(Elf *elf, const GElf_Sym *sym)
{
	Elf_Scn *section;
	GElf_Shdr header;

	if (sym->st_shndx == SHN_UNDEF || sym->st_shndx >= SHN_LORESERVE)
		return 0;
	section = elf_getscn(elf, sym->st_shndx);
	if (!section || !gelf_getshdr(section, &header) || !(header.sh_flags & SHF_EXECINSTR) ||
	    sym->st_value < header.sh_addr || sym->st_value - header.sh_addr >= header.sh_size ||
	    header.sh_addr + header.sh_size < header.sh_addr)
		return 0;
	return header.sh_addr + header.sh_size;
}

/* Code in assembler has names without a type, too. */
static void add_symbol(struct symbols *s, const GElf_Sym *sym, const char *name)
{
	struct symbol *to = &s->symbol[s->nr];
	u64 end;

	if (GELF_ST_TYPE(sym->st_info) != STT_FUNC && GELF_ST_TYPE(sym->st_info) != STT_NOTYPE)
		return;
	if (!name || !*name || !smr_is_printable(name))
		return;
	end = end_of_code(s->elf, sym);
	if (!end)
		return;
	to->start = sym->st_value;
	to->end = end;
	to->sized = sym->st_size != 0;
	if (to->sized && sym->st_size < end - to->start)
		to->end = to->start + sym->st_size;
	to->name = name;
	s->nr++;
}

/* Of those at an address, one with a size comes first: the others are labels. */
static int compare(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	if (x->sized != y->sized)
		return x->sized ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void sort(struct symbols *s)
{
	u32 i, nr = 0;

	if (s->nr)
		qsort(s->symbol, s->nr, sizeof(*s->symbol), compare);
	for (i = 0; i < s->nr; i++) {
		if (nr && s->symbol[nr - 1].start == s->symbol[i].start)
			continue;
		s->symbol[nr++] = s->symbol[i];
	}
	s->nr = nr;
	for (i = 0; i + 1 < nr; i++) {
		if (!s->symbol[i].sized && s->symbol[i].end > s->symbol[i + 1].start)
			s->symbol[i].end = s->symbol[i + 1].start;
	}
}

/* Returns NULL, or what is wrong. */
static const char *read_table(struct symbols *s, Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	GElf_Sym sym;
	u64 nr, i;

	if (!data || !header->sh_entsize)
		return "its symbol table is damaged";
	nr = data->d_size / header->sh_entsize;
	if (nr > MAX_SYMBOLS)
		return "more symbols than a kernel can have";
	s->symbol = calloc(nr + 1, sizeof(*s->symbol));
	if (!s->symbol)
		return "out of memory";
	for (i = 0; i < nr; i++) {
		if (!gelf_getsym(data, (int)i, &sym))
			return "its symbol table is damaged";
		add_symbol(s, &sym, elf_strptr(s->elf, header->sh_link, sym.st_name));
	}
	sort(s);
	return s->nr ? NULL : "has no symbols of code";
}

static const char *read_symbols(struct symbols *s)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	GElf_Ehdr ehdr;

	if (elf_kind(s->elf) != ELF_K_ELF || !gelf_getehdr(s->elf, &ehdr) ||
	    (ehdr.e_type != ET_EXEC && ehdr.e_type != ET_DYN))
		return "not an executable with symbols, as vmlinux is";
	while ((section = elf_nextscn(s->elf, section))) {
		if (gelf_getshdr(section, &header) && header.sh_type == SHT_SYMTAB)
			return read_table(s, section, &header);
	}
	return "has no symbols";
}

static const char *open_elf(struct symbols *s, const char *path)
{
	struct stat st;

	s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (s->fd < 0 || fstat(s->fd, &st))
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "not a regular file";
	if (elf_version(EV_CURRENT) != EV_NONE)
		s->elf = elf_begin(s->fd, ELF_C_READ, NULL);
	return s->elf ? read_symbols(s) : elf_errmsg(-1);
}

struct symbols *symbols_open(const char *path)
{
	struct symbols *s = calloc(1, sizeof(*s));
	const char *wrong = "out of memory";
	char *shown = printable(path);

	if (s && shown) {
		s->fd = -1;
		wrong = open_elf(s, path);
	}
	if (wrong) {
		fprintf(stderr, "samsara: %s: %s\n", shown ? shown : "symbols", wrong);
		symbols_close(s);
		s = NULL;
	}
	free(shown);
	return s;
}

const char *symbols_find(const struct symbols *s, u64 addr, u64 *start)
{
	u32 low = 0, high = s ? s->nr : 0, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (s->symbol[middle].start <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || addr >= s->symbol[low - 1].end)
		return NULL;
	*start = s->symbol[low - 1].start;
	return s->symbol[low - 1].name;
}

bool symbols_text(const struct symbols *s, u64 addr, char text[SYMBOL_TEXT])
{
	const char *name;
	u64 start;

	name = symbols_find(s, addr, &start);
	if (name)
		snprintf(text, SYMBOL_TEXT, "%s+0x%llx", name, ULL(addr - start));
	return name != NULL;
}
