/*
 * Record and replay of multiprocessor KVM guests: text in recordings
 *
 * A recording may come from anybody, and what is in it ends up in options and
 * messages: it may not be longer than any that was recorded, nor hold anything
 * that a terminal obeys.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/ctype.h"
#include "qapi/error.h"
#include "samsara-int.h"

#define TEXT_MAX (256 * KiB)
#define WORD_MAX 4096

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 0x7f;
}

char *samsara_read_text(const char *blob, Error **errp)
{
    struct smr_err err = { };
    g_autofree char *copy = NULL;
    void *data;
    size_t len, i;

    if (smr_reader_blob(samsara_opts.reader, blob, &data, &len, &err) < 0) {
        error_setg(errp, "%s", smr_file_errstr(&err));
        return NULL;
    }
    if (len <= TEXT_MAX) {
        copy = g_strndup(data, len);
    }
    free(data);
    if (!copy) {
        error_setg(errp, "%s: %s is longer than %u bytes",
                   samsara_opts.replay, blob, (unsigned)TEXT_MAX);
        return NULL;
    }
    for (i = 0; i < len; i++) {
        if (is_control(copy[i]) && copy[i] != '\n') {
            error_setg(errp, "%s: %s holds a control character at byte %zu",
                       samsara_opts.replay, blob, i);
            return NULL;
        }
    }
    return g_steal_pointer(&copy);
}

char *samsara_text_line(const char *text)
{
    char *line = g_strdup(text ?: "");
    char *c;

    for (c = line; *c; c++) {
        if (is_control(*c)) {
            *c = ' ';
        }
    }
    return line;
}

bool samsara_is_word(const char *text, const char *more)
{
    size_t i;

    for (i = 0; text[i]; i++) {
        if (!qemu_isalnum(text[i]) && !strchr(more, text[i])) {
            return false;
        }
    }
    return i > 0 && i <= WORD_MAX;
}
