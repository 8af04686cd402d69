/*
 * Record and replay of multiprocessor KVM guests: the CPU model
 *
 * The argument of -cpu is stored in the recording and becomes one again when it
 * is replayed.  Only what describes a CPU may be in it, checked in the same
 * way both times: on a stranger's recording, QEMU's own parser would set any
 * property there is, and end QEMU with a status that means something else.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "qom/object.h"
#include "cpu.h"
#include "samsara.h"
#include "samsara-int.h"

#define MAX_OPTIONS 512

/* Features are booleans.  These are the other properties a CPU may have. */
static const char * const values[] = {
    "family", "host-phys-bits-limit", "model", "model-id", "phys-bits",
    "stepping", "tsc-frequency", "ucode-rev", "vendor",
};

typedef struct CpuOption {
    char *name;
    char *value;
} CpuOption;

static void free_option(CpuOption *o)
{
    g_free(o->name);
    g_free(o->value);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CpuOption, free_option)

/* As x86_cpu_parse_featurestr(): +name, -name, name, name=value */
static void parse_option(const char *text, CpuOption *o)
{
    bool sign = *text == '+' || *text == '-';
    const char *eq = sign ? NULL : strchr(text, '=');

    o->name = eq ? g_strndup(text, eq - text) : g_strdup(text + sign);
    o->value = g_strdup(eq ? eq + 1 : *text == '-' ? "off" : "on");
    g_strdelimit(o->name, "_", '-');
    if (!strcmp(o->name, "tsc-freq")) {
        uint64_t hz;

        if (!qemu_strtosz_metric(o->value, NULL, &hz) && hz <= INT64_MAX) {
            g_free(o->value);
            o->value = g_strdup_printf("%" PRIu64, hz);
        }
        g_free(o->name);
        o->name = g_strdup("tsc-frequency");
    }
}

static bool describes_cpu(const ObjectProperty *prop)
{
    int i;

    /* what every CPU and device has: "realized", "memory", ... */
    if (object_class_property_find(object_class_by_name(TYPE_CPU),
                                   prop->name)) {
        return false;
    }
    if (!strcmp(prop->type, "bool")) {
        return true;
    }
    for (i = 0; i < ARRAY_SIZE(values); i++) {
        if (!strcmp(prop->name, values[i])) {
            return true;
        }
    }
    return false;
}

static bool check_option(Object *cpu, const char *text, Error **errp)
{
    ERRP_GUARD();
    g_auto(CpuOption) o = { };
    ObjectProperty *prop;

    parse_option(text, &o);
    prop = object_property_find(cpu, o.name);
    if (!prop || !describes_cpu(prop)) {
        error_setg(errp, "CPU model: property %s %s", o.name,
                   prop ? "can't be recorded" : "does not exist");
        return false;
    }
    if (!object_property_parse(cpu, o.name, o.value, errp)) {
        error_prepend(errp, "CPU model: %s: ", text);
        return false;
    }
    if (samsara_recordable && !strcmp(o.name, "pmu") &&
        object_property_get_bool(cpu, o.name, &error_abort)) {
        warn_report("CPU feature pmu can't be recorded: hidden from the guest");
    }
    return true;
}

bool samsara_check_cpu(const char *cpu, Error **errp)
{
    g_auto(GStrv) part = NULL;
    ObjectClass *oc;
    Object *probe;
    bool ok = true;
    int i;

    if (!samsara_check_cpu_text(cpu, errp)) {
        return false;
    }
    part = g_strsplit(cpu, ",", MAX_OPTIONS + 1);
    oc = cpu_class_by_name(CPU_RESOLVING_TYPE, part[0]);
    if (!oc || object_class_is_abstract(oc)) {
        error_setg(errp, "CPU model %s does not exist", part[0]);
        return false;
    }
    probe = object_new_with_class(oc);
    for (i = 1; ok && part[i]; i++) {
        ok = !*part[i] || check_option(probe, part[i], errp);
    }
    object_unref(probe);
    return ok;
}
