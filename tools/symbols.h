/* SPDX-License-Identifier: GPL-2.0 */
/* Names of functions, from the symbol table of an executable: the guest's kernel. */
#ifndef SYMBOLS_H
#define SYMBOLS_H

#include "smr_port.h"

struct symbols;

#define SYMBOL_TEXT	160	/* "function+0x12", cut if it is longer */

/* NULL after an error message. */
struct symbols *symbols_open(const char *path);
void symbols_close(struct symbols *s);

/* The function that @addr is in, and its first address; NULL: none, or @s is NULL. */
const char *symbols_find(const struct symbols *s, u64 addr, u64 *start);
/* Returns false likewise. */
bool symbols_text(const struct symbols *s, u64 addr, char text[SYMBOL_TEXT]);

#endif /* SYMBOLS_H */
