/*
 * Record and replay of multiprocessor KVM guests: properties of the KVM
 * accelerator
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "cpu.h"
#include "samsara.h"
#include "samsara-int.h"

static const struct {
    const char *name;
    size_t offset;
    bool is_string;
    const char *description;
} props[] = {
    { "record", offsetof(SamsaraOpts, record), true,
      "Record the guest's execution in this file" },
    { "record-mode", offsetof(SamsaraOpts, mode), true,
      "parallel (default); serial: one vCPU at a time; crew: in parallel, each "
      "page owned by readers or a writer" },
    { "record-on-error", offsetof(SamsaraOpts, on_error), true,
      "continue (default): the guest goes on when the recording ends early; "
      "stop: it is paused" },
    { "record-disk", offsetof(SamsaraOpts, disk), true,
      "inline (default): what is read from disks is in the recording; ref: it "
      "is named by image and offset" },
    { "record-max-size", offsetof(SamsaraOpts, max_size), false,
      "The recording ends before the file gets larger" },
#define TUNABLE(opt_name, index, min, max, what) \
    { "record-" opt_name, \
      offsetof(SamsaraOpts, tunable[KVM_SAMSARA_TUNABLE_##index]), false, \
      what },
    SAMSARA_RECORD_TUNABLES(TUNABLE)
#undef TUNABLE
    { "record-compress", offsetof(SamsaraOpts, compress), false,
      "Compression level of the recording, 0 to 9" },
    { "record-report", offsetof(SamsaraOpts, report), false,
      "0: the recording does not say over which pages it has lost time" },
    { "record-ring", offsetof(SamsaraOpts, ring), false,
      "Size of each vCPU's log buffer, a power of two" },
    { "record-debug-fault-commit", offsetof(SamsaraOpts, debug_fault_commit),
      false, "Test aid: falsify one logged value at or after this commit" },
    { "replay", offsetof(SamsaraOpts, replay), true,
      "Replay the execution recorded in this file" },
    { "replay-mode", offsetof(SamsaraOpts, replay_mode), true,
      "parallel (default): vCPUs run in parallel, as they did in the "
      "recording; serial: chunks one by one in commit order" },
    { "replay-stop-at", offsetof(SamsaraOpts, stop_at), true,
      "End the replay after this commit, or time:SECONDS, or line:N" },
    { "replay-images", offsetof(SamsaraOpts, images), true,
      "Directory with the disk images that the recording names" },
    { "replay-at-end", offsetof(SamsaraOpts, at_end), true,
      "exit or pause when the replay has ended" },
    { "replay-stamps", offsetof(SamsaraOpts, stamps), false,
      "1: lines of the guest's consoles begin with time and commit" },
    { "replay-export", offsetof(SamsaraOpts, export), true,
      "Directory for what disks, networks and consoles have got" },
    { "replay-checkpoints", offsetof(SamsaraOpts, checkpoints), false,
      "Commits from one place to go back to, to the next" },
    { "replay-checkpoint-memory", offsetof(SamsaraOpts, checkpoint_memory),
      false, "Most memory for places to go back to" },
    { "replay-index", offsetof(SamsaraOpts, index), true,
      "File with places to go back to" },
    { "replay-save-index", offsetof(SamsaraOpts, save_index), true,
      "File for places to go back to" },
    { "replay-max-memory", offsetof(SamsaraOpts, max_memory), false,
      "Most memory a replayed guest may have" },
};

static void get_prop(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    size_t i = (size_t)opaque;
    void *p = (char *)&samsara_opts + props[i].offset;

    if (props[i].is_string) {
        char *value = *(char **)p ?: (char *)"";

        visit_type_str(v, name, &value, errp);
    } else {
        visit_type_uint64(v, name, p, errp);
    }
}

/* The -record option that a property stands for. */
static const char *option_name(const char *prop)
{
    const char *name = prop;

    return strstart(prop, "record-", &name) ? name : prop;
}

static void set_prop(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    size_t i = (size_t)opaque;
    void *p = (char *)&samsara_opts + props[i].offset;

    if (KVM_STATE(obj)->fd != -1) {
        error_setg(errp, "Cannot set properties after the accelerator has "
                   "been initialized");
        return;
    }
    if (props[i].is_string) {
        char *value;

        if (!visit_type_str(v, name, &value, errp)) {
            return;
        }
        if (!samsara_check_word(option_name(name), value, errp)) {
            g_free(value);
            return;
        }
        g_free(*(char **)p);
        *(char **)p = value;
    } else {
        uint64_t value;

        if (visit_type_size(v, name, &value, errp) &&
            samsara_check_number(option_name(name), value, errp)) {
            *(uint64_t *)p = value;
        }
    }
}

void samsara_accel_class_init(ObjectClass *oc)
{
    size_t i;

    for (i = 0; i < SAMSARA_NR_TUNABLES; i++) {
        samsara_opts.tunable[i] = SAMSARA_UNSET;
    }
    samsara_opts.compress = SAMSARA_COMPRESS_DEFAULT;
    samsara_opts.report = 1;
    samsara_opts.ring = SAMSARA_RING_DEFAULT;
    for (i = 0; i < ARRAY_SIZE(props); i++) {
        object_class_property_add(oc, props[i].name,
                                  props[i].is_string ? "string" : "uint64",
                                  get_prop, set_prop, NULL, (void *)i);
        object_class_property_set_description(oc, props[i].name,
                                              props[i].description);
    }
}
