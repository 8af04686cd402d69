/*
 * Record and replay of multiprocessor KVM guests: the guest's consoles
 *
 * A recording says which ports belong to serial and debug consoles.  Replay
 * has no devices, but shows on standard output what the guest writes there.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "qapi/error.h"
#include "cpu.h"
#include "hw/char/serial.h"
#include "hw/qdev-core.h"
#include "samsara.h"
#include "samsara-int.h"

#define MAX_CONSOLES 16

/* 16550 */
#define LCR_DLAB 0x80
#define MCR_LOOP 0x10

typedef enum { KIND_SERIAL, KIND_DEBUGCON, KIND_DEBUG_EXIT } ConsoleKind;

static const struct {
    const char *type;           /* of the device */
    const char *word;           /* in the recording */
} kinds[] = {
    [KIND_SERIAL] = { TYPE_ISA_SERIAL, "serial" },
    [KIND_DEBUGCON] = { "isa-debugcon", "debugcon" },
    [KIND_DEBUG_EXIT] = { "isa-debug-exit", "debug-exit" },
};

static struct {
    ConsoleKind kind;
    uint16_t base;
    uint8_t lcr, mcr;           /* KIND_SERIAL */
} consoles[MAX_CONSOLES];
static unsigned nr_consoles;
/* Bytes of output since the replay began, and what was shown already */
static uint64_t written, shown;
static bool in_line;            /* of what was shown */

/*
 * For each line, the commit with which it was whole, in the order of these: of
 * all that was replayed so far, from the beginning on, however often.
 */
#define MAX_LINES (16 * MiB)
static GArray *lines;
static QemuMutex lines_lock;

static int add_line(Object *obj, void *opaque)
{
    GString *text = opaque;
    int i;

    for (i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (!strcmp(object_get_typename(obj), kinds[i].type)) {
            g_string_append_printf(text, "%s 0x%" PRIx64 "\n", kinds[i].word,
                object_property_get_uint(obj, "iobase", &error_abort));
        }
    }
    return 0;
}

char *samsara_consoles_to_text(void)
{
    GString *text = g_string_new(NULL);

    object_child_foreach_recursive(object_get_root(), add_line, text);
    return g_string_free(text, false);
}

static bool parse_line(const char *line, Error **errp)
{
    g_auto(GStrv) word = g_strsplit(line, " ", 2);
    uint64_t base;
    int i;

    for (i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (word[0] && word[1] && !strcmp(word[0], kinds[i].word) &&
            !qemu_strtou64(word[1], NULL, 0, &base) && base <= 0xffff &&
            nr_consoles < MAX_CONSOLES) {
            consoles[nr_consoles].kind = i;
            consoles[nr_consoles++].base = base;
            return true;
        }
    }
    error_setg(errp, "bad line in the list of consoles");
    return false;
}

static bool parse_list(const char *text, Error **errp)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", MAX_CONSOLES + 2);
    int i;

    for (i = 0; lines[i] && *lines[i]; i++) {
        if (!parse_line(lines[i], errp)) {
            return false;
        }
    }
    return true;
}

bool samsara_consoles_load(Error **errp)
{
    ERRP_GUARD();
    g_autofree char *text = samsara_read_text("consoles", errp);

    if (!text) {
        return false;
    }
    if (!lines) {
        qemu_mutex_init(&lines_lock);
        lines = g_array_new(false, false, sizeof(uint64_t));
    }
    memset(consoles, 0, sizeof(consoles));
    nr_consoles = 0;
    written = 0;
    if (!parse_list(text, errp)) {
        error_prepend(errp, "%s: ", samsara_opts.replay);
        return false;
    }
    return true;
}

/* What the guest has set, and how much it has written */
GByteArray *samsara_consoles_get_state(void)
{
    GByteArray *state = g_byte_array_new();

    g_byte_array_append(state, (uint8_t *)&written, sizeof(written));
    g_byte_array_append(state, (uint8_t *)consoles, sizeof(consoles));
    return state;
}

bool samsara_consoles_are_sound(const GByteArray *state)
{
    typeof(consoles) there;
    unsigned i;

    if (state->len != sizeof(written) + sizeof(there)) {
        return false;
    }
    memcpy(there, state->data + sizeof(written), sizeof(there));
    for (i = 0; i < MAX_CONSOLES; i++) {
        if (there[i].kind != consoles[i].kind ||
            there[i].base != consoles[i].base) {
            return false;
        }
    }
    return true;
}

void samsara_consoles_set_state(const GByteArray *state)
{
    memcpy(&written, state->data, sizeof(written));
    memcpy(consoles, state->data + sizeof(written), sizeof(consoles));
}

/* Lines */

/* How many there are up to @commit; who calls it has the lock. */
static guint count_lines(uint64_t commit)
{
    guint low = 0, high = lines->len;

    while (low < high) {
        guint middle = low + (high - low) / 2;

        if (g_array_index(lines, uint64_t, middle) <= commit) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/*
 * This vCPU has ended so many by an exit; its last commit is the one that has
 * done it.  Other vCPUs may have told of later ones before.
 */
static void add_lines(CPUState *cpu, unsigned n)
{
    struct kvm_samsara_place place;
    guint at;

    if (samsara_device_place(kvm_arch_vcpu_id(cpu), &place) < 0) {
        return;
    }
    QEMU_LOCK_GUARD(&lines_lock);
    at = count_lines(place.last_commit);
    if (at && g_array_index(lines, uint64_t, at - 1) == place.last_commit) {
        /* it was replayed before */
        return;
    }
    while (n-- && lines->len < MAX_LINES) {
        uint64_t commit = place.last_commit;

        g_array_insert_val(lines, at, commit);
    }
}

uint64_t samsara_console_lines(uint64_t commit)
{
    if (!lines) {
        return 0;
    }
    QEMU_LOCK_GUARD(&lines_lock);
    return count_lines(commit);
}

uint64_t samsara_console_commit(uint64_t line)
{
    if (!lines) {
        return 0;
    }
    QEMU_LOCK_GUARD(&lines_lock);
    return line && line <= lines->len
           ? g_array_index(lines, uint64_t, line - 1) : 0;
}

GByteArray *samsara_console_get_lines(void)
{
    GByteArray *copy = g_byte_array_new();

    QEMU_LOCK_GUARD(&lines_lock);
    g_byte_array_append(copy, (const guint8 *)lines->data,
                        lines->len * sizeof(uint64_t));
    return copy;
}

bool samsara_console_set_lines(const void *commits, size_t len)
{
    unsigned i;

    if (len % sizeof(uint64_t) || len / sizeof(uint64_t) > MAX_LINES) {
        return false;
    }
    QEMU_LOCK_GUARD(&lines_lock);
    g_array_set_size(lines, 0);
    g_array_append_vals(lines, commits, len / sizeof(uint64_t));
    for (i = 1; i < lines->len; i++) {
        if (g_array_index(lines, uint64_t, i - 1) >
            g_array_index(lines, uint64_t, i)) {
            return false;
        }
    }
    return true;
}

/* Output */

static void put(const void *text, size_t len)
{
    if (qemu_write_full(STDOUT_FILENO, text, len) != len) {
        /* standard output is closed: no reason to stop */
    }
}

/* What begins here: time and commit of the exit by which the vCPU writes it. */
static void put_stamp(CPUState *cpu)
{
    struct kvm_samsara_place place;
    char stamp[64];
    uint64_t ms;

    if (samsara_device_place(kvm_arch_vcpu_id(cpu), &place) < 0) {
        return;
    }
    ms = smr_time_of(samsara_opts.reader, place.last_commit);
    put(stamp, snprintf(stamp, sizeof(stamp), "[%5" PRIu64 ".%03" PRIu64
                        " %9" PRIu64 "] ", ms / 1000, ms % 1000,
                        (uint64_t)place.last_commit));
}

static void show(CPUState *cpu, uint8_t c)
{
    if (qatomic_fetch_inc(&written) < shown) {
        return;
    }
    shown++;
    if (samsara_opts.stamps && !in_line) {
        put_stamp(cpu);
    }
    in_line = c != '\n';
    put(&c, 1);
}

/* Returns true if the byte is data for the line: not in loopback, DLAB=0. */
static bool serial_out(unsigned i, unsigned offset, uint8_t value)
{
    switch (offset) {
    case 0:
        return !(consoles[i].lcr & LCR_DLAB) &&
               !(consoles[i].mcr & MCR_LOOP);
    case 3:
        consoles[i].lcr = value;
        return false;
    case 4:
        consoles[i].mcr = value;
        return false;
    default:
        return false;
    }
}

/* Returns how many lines it has ended. */
static unsigned out_byte(CPUState *cpu, uint16_t port, uint8_t value)
{
    unsigned i, ended = 0;

    for (i = 0; i < nr_consoles; i++) {
        unsigned offset = (uint16_t)(port - consoles[i].base);

        if ((consoles[i].kind == KIND_SERIAL && serial_out(i, offset, value)) ||
            (consoles[i].kind == KIND_DEBUGCON && offset == 0)) {
            show(cpu, value);
            ended += value == '\n';
        }
    }
    return ended;
}

bool samsara_console_out(CPUState *cpu, uint16_t port, unsigned size,
                         unsigned count, const uint8_t *data)
{
    unsigned i, b, ended = 0;

    for (i = 0; i < count; i++) {
        /* wider writes reach the neighbouring registers, as in a real UART */
        for (b = 0; b < size; b++) {
            ended += out_byte(cpu, port + b, *data++);
        }
    }
    if (ended) {
        add_lines(cpu, ended);
    }
    return ended;
}
