/*
 * Record and replay of multiprocessor KVM guests: values of -record options
 *
 * Checked in the same way whether they are given with -record or as properties
 * of the accelerator.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "qapi/error.h"
#include "samsara-int.h"

static const struct {
    const char *name;
    uint64_t min, max;
} numbers[] = {
#define TUNABLE(name, index, min, max, what) { name, min, max },
    SAMSARA_RECORD_TUNABLES(TUNABLE)
#undef TUNABLE
    { "compress", 0, 9 },
    { "report", 0, 1 },
    { "replay-stamps", 0, 1 },
};

static const struct {
    const char *name;
    const char *words;          /* one after the other, as they are shown */
} choices[] = {
    { "mode", "parallel, serial or crew" },
    { "on-error", "continue or stop" },
    { "disk", "inline or ref" },
    { "replay-mode", "serial or parallel" },
    { "replay-at-end", "exit or pause" },
};

bool samsara_check_number(const char *name, uint64_t value, Error **errp)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(numbers); i++) {
        if (!strcmp(name, numbers[i].name) &&
            (value < numbers[i].min || value > numbers[i].max)) {
            error_setg(errp, "%s=%" PRIu64 ": must be %" PRIu64 " to %" PRIu64,
                       name, value, numbers[i].min, numbers[i].max);
            return false;
        }
    }
    if (!strcmp(name, "ring") &&
        (value < SAMSARA_RING_MIN || value > SAMSARA_RING_MAX ||
         !is_power_of_2(value))) {
        error_setg(errp, "%s=%" PRIu64 ": must be a power of two from 256K to "
                   "16M", name, value);
        return false;
    }
    return true;
}

static bool is_one_of(const char *words, const char *word)
{
    g_auto(GStrv) v = g_strsplit_set(words, ", ", 0);

    return *word && strcmp(word, "or") &&
           g_strv_contains((const char * const *)v, word);
}

bool samsara_check_word(const char *name, const char *word, Error **errp)
{
    int i;

    for (i = 0; i < ARRAY_SIZE(choices); i++) {
        if (!strcmp(name, choices[i].name) &&
            !is_one_of(choices[i].words, word)) {
            error_setg(errp, "%s=%s: must be %s", name, word,
                       choices[i].words);
            return false;
        }
    }
    return true;
}
