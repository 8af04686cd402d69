/*
 * Record and replay of multiprocessor KVM guests: description of the machine
 *
 * A blob of "key=value" lines, so that people and tools can read it.  A
 * recording may come from anybody: every value is checked.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/help_option.h"
#include "qapi/error.h"
#include "samsara-int.h"

/* what occurs in CPU models, their features and values */
#define CPU_CHARACTERS " ,.=+-_:/@()"

enum { STRING, U32, U64 };

static const struct {
    const char *key;
    int type;
    size_t offset;
    bool required;
} fields[] = {
    { "machine", STRING, offsetof(SamsaraMachine, type), true },
    { "cpu", STRING, offsetof(SamsaraMachine, cpu), true },
    { "cpus", U32, offsetof(SamsaraMachine, cpus), true },
    { "sockets", U32, offsetof(SamsaraMachine, sockets), true },
    { "dies", U32, offsetof(SamsaraMachine, dies), true },
    { "cores", U32, offsetof(SamsaraMachine, cores), true },
    { "threads", U32, offsetof(SamsaraMachine, threads), true },
    { "phys-bits", U32, offsetof(SamsaraMachine, phys_bits), true },
    { "tsc-khz", U64, offsetof(SamsaraMachine, tsc_khz), false },
    { "cpuid-tsc-khz", U32, offsetof(SamsaraMachine, cpuid_tsc_khz), false },
    { "chaos", U32, offsetof(SamsaraMachine, chaos), false },
    { "seed", U32, offsetof(SamsaraMachine, seed), false },
    { "host-stepping", U64, offsetof(SamsaraMachine, host_stepping), false },
    { "host-microcode", U64, offsetof(SamsaraMachine, host_microcode), false },
    { "host-core-type", U64, offsetof(SamsaraMachine, host_core_type), false },
    { "cmdline", STRING, offsetof(SamsaraMachine, cmdline), false },
};

static bool is_unknown(const SamsaraMachine *m, int i)
{
    const void *p = (const char *)m + fields[i].offset;

    return fields[i].type == U64 && *(const uint64_t *)p == SAMSARA_UNKNOWN;
}

static void add_value(GString *s, const SamsaraMachine *m, int i)
{
    const void *p = (const char *)m + fields[i].offset;

    switch (fields[i].type) {
    case STRING: {
        g_autofree char *v = samsara_text_line(*(char * const *)p);

        g_string_append(s, v);
        break;
    }
    case U32:
        g_string_append_printf(s, "%" PRIu32, *(const uint32_t *)p);
        break;
    case U64:
        g_string_append_printf(s, "%" PRIu64, *(const uint64_t *)p);
        break;
    }
}

char *samsara_machine_to_text(const SamsaraMachine *m)
{
    GString *s = g_string_new(NULL);
    int i;

    for (i = 0; i < ARRAY_SIZE(fields); i++) {
        if (!is_unknown(m, i)) {
            g_string_append_printf(s, "%s=", fields[i].key);
            add_value(s, m, i);
            g_string_append_c(s, '\n');
        }
    }
    return g_string_free(s, false);
}

static bool set_field(SamsaraMachine *m, int i, const char *value, Error **errp)
{
    void *p = (char *)m + fields[i].offset;
    uint64_t v;

    if (fields[i].type == STRING) {
        g_free(*(char **)p);
        *(char **)p = g_strdup(value);
        return true;
    }
    if (qemu_strtou64(value, NULL, 10, &v) < 0 ||
        (fields[i].type == U32 && v > UINT32_MAX)) {
        error_setg(errp, "machine description: %s is not a number",
                   fields[i].key);
        return false;
    }
    if (fields[i].type == U32) {
        *(uint32_t *)p = v;
    } else {
        *(uint64_t *)p = v;
    }
    return true;
}

bool samsara_check_cpu_text(const char *cpu, Error **errp)
{
    if (!samsara_is_word(cpu, CPU_CHARACTERS)) {
        error_setg(errp, "CPU model: characters other than letters, digits "
                   "and \"" CPU_CHARACTERS "\", or too long");
        return false;
    }
    /* -cpu help lists models and ends QEMU with status 0 */
    if (is_help_option(cpu)) {
        error_setg(errp, "CPU model: %s is none", cpu);
        return false;
    }
    return true;
}

bool samsara_machine_is_known(const char *type)
{
    static const char * const types[] = {
        "microvm", "pc-i440fx-7.2", "pc-q35-7.2",
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(types); i++) {
        if (!strcmp(type, types[i])) {
            return true;
        }
    }
    return false;
}

const char *samsara_known_machines(void)
{
    return "pc, -M q35 or -M microvm";
}

static bool check_machine_type(const char *type, Error **errp)
{
    if (!samsara_machine_is_known(type)) {
        error_setg(errp, "machine description: the machine type is not one "
                   "that can be recorded");
        return false;
    }
    return true;
}

bool samsara_check_smp(const SamsaraMachine *m, Error **errp)
{
    uint64_t product = m->sockets;

    if (!m->cpus || m->cpus > SMR_FILE_MAX_VCPUS ||
        m->sockets > SMR_FILE_MAX_VCPUS || m->dies > SMR_FILE_MAX_VCPUS ||
        m->cores > SMR_FILE_MAX_VCPUS || m->threads > SMR_FILE_MAX_VCPUS) {
        error_setg(errp, "machine description: number of vCPUs out of range");
        return false;
    }
    product = product * m->dies * m->cores * m->threads;
    if (product != m->cpus) {
        error_setg(errp, "machine description: %" PRIu32 " vCPUs, but the "
                   "topology has %" PRIu64, m->cpus, product);
        return false;
    }
    return true;
}

bool samsara_machine_from_text(SamsaraMachine *m, const char *text,
                               Error **errp)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", 0);
    bool seen[ARRAY_SIZE(fields)] = { };
    int i;
    char **l;

    memset(m, 0, sizeof(*m));
    m->host_stepping = SAMSARA_UNKNOWN;
    m->host_microcode = SAMSARA_UNKNOWN;
    m->host_core_type = SAMSARA_UNKNOWN;
    for (l = lines; *l; l++) {
        char *value = strchr(*l, '=');

        if (!value) {
            continue;
        }
        *value++ = '\0';
        /* unknown keys are for newer readers */
        for (i = 0; i < ARRAY_SIZE(fields); i++) {
            if (!strcmp(*l, fields[i].key)) {
                if (!set_field(m, i, value, errp)) {
                    return false;
                }
                seen[i] = true;
            }
        }
    }
    for (i = 0; i < ARRAY_SIZE(fields); i++) {
        if (fields[i].required && !seen[i]) {
            error_setg(errp, "machine description: no %s", fields[i].key);
            return false;
        }
    }
    if (m->phys_bits < 32 || m->phys_bits > 52) {
        error_setg(errp, "machine description: phys-bits out of range");
        return false;
    }
    return check_machine_type(m->type, errp) &&
           samsara_check_cpu_text(m->cpu, errp) && samsara_check_smp(m, errp);
}
