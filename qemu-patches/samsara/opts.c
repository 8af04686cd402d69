/*
 * Record and replay of multiprocessor KVM guests: -record and -replay
 *
 * The options become properties of the KVM accelerator.  For -replay the
 * recording is opened here, before the machine is chosen, since it holds the
 * machine.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qemu/accel.h"
#include "qemu/config-file.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qemu/help_option.h"
#include "qemu/module.h"
#include "qemu/option.h"
#include "qapi/error.h"
#include "qapi/qmp/qdict.h"
#include "qom/object.h"
#include "samsara.h"
#include "samsara-int.h"

static QemuOptsList record_opts = {
    .name = "record",
    .implied_opt_name = "file",
    .head = QTAILQ_HEAD_INITIALIZER(record_opts.head),
    .desc = {
        {
            .name = "file",
            .type = QEMU_OPT_STRING,
            .help = "recording to write",
        }, {
            .name = "mode",
            .type = QEMU_OPT_STRING,
            .help = "parallel: vCPUs really run in parallel (default); "
                    "serial: one at a time; crew: in parallel, each page "
                    "owned by readers or a writer, for comparison",
        }, {
            .name = "on-error",
            .type = QEMU_OPT_STRING,
            .help = "when the recording ends early, the guest goes on "
                    "(continue, default) or is paused (stop)",
        }, {
            .name = "max-size",
            .type = QEMU_OPT_SIZE,
            .help = "the recording ends before the file gets larger",
        }, {
            .name = "disk",
            .type = QEMU_OPT_STRING,
            .help = "what is read from disks is in the recording (inline, "
                    "default), or named by image and offset (ref)",
        }, {
            .name = "start",
            .type = QEMU_OPT_BOOL,
            .help = "off: nothing is recorded before the monitor's "
                    "samsara-record-start",
        },
#define TUNABLE(opt_name, index, min, max, what) \
        { .name = opt_name, .type = QEMU_OPT_NUMBER, .help = what },
        SAMSARA_RECORD_TUNABLES(TUNABLE)
#undef TUNABLE
        {
            .name = "compress",
            .type = QEMU_OPT_NUMBER,
            .help = "0 (none) to 9 (best), default 1",
        }, {
            .name = "report",
            .type = QEMU_OPT_NUMBER,
            .help = "0: does not say what recording was slow over, default 1",
        }, {
            .name = "ring",
            .type = QEMU_OPT_SIZE,
            .help = "size of each vCPU's log buffer, 256K to 16M, a power of "
                    "two, default 1M",
        }, {
            .name = "debug-fault-commit",
            .type = QEMU_OPT_NUMBER,
            .help = "test aid: falsify one logged value at this commit or "
                    "the next one with an input",
        },
        { /* end of list */ }
    },
};

static QemuOptsList replay_opts = {
    .name = "replay",
    .implied_opt_name = "file",
    .head = QTAILQ_HEAD_INITIALIZER(replay_opts.head),
    .desc = {
        {
            .name = "file",
            .type = QEMU_OPT_STRING,
            .help = "recording to replay",
        }, {
            .name = "mode",
            .type = QEMU_OPT_STRING,
            .help = "parallel: vCPUs run in parallel, as in the recording "
                    "(default); serial: chunks one by one in commit order",
        }, {
            .name = "stop-at",
            .type = QEMU_OPT_STRING,
            .help = "end after this commit, or time:SECONDS, or line:N of the "
                    "guest's console",
        }, {
            .name = "at-end",
            .type = QEMU_OPT_STRING,
            .help = "then QEMU exits (exit, default), or the guest stays "
                    "there, paused (pause)",
        }, {
            .name = "stamps",
            .type = QEMU_OPT_NUMBER,
            .help = "1: lines of the guest's consoles begin with time and "
                    "commit",
        }, {
            .name = "images",
            .type = QEMU_OPT_STRING,
            .help = "directory with the disk images that were recorded with "
                    "disk=ref; default: where they were",
        }, {
            .name = "export",
            .type = QEMU_OPT_STRING,
            .help = "directory for what the guest's disks, networks and "
                    "consoles have got from it",
        }, {
            .name = "checkpoints",
            .type = QEMU_OPT_NUMBER,
            .help = "commits from one place to go back to, to the next; "
                    "default: twice a second, from the first seek or "
                    "debugger on",
        }, {
            .name = "checkpoint-memory",
            .type = QEMU_OPT_SIZE,
            .help = "most memory for them; default: a quarter of what the "
                    "host has left",
        }, {
            .name = "index",
            .type = QEMU_OPT_STRING,
            .help = "file with checkpoints that another replay has made",
        }, {
            .name = "save-index",
            .type = QEMU_OPT_STRING,
            .help = "file for the checkpoints, written when QEMU exits",
        }, {
            .name = "max-memory",
            .type = QEMU_OPT_SIZE,
            .help = "most memory the guest may have; default: what the host "
                    "has left",
        },
        { /* end of list */ }
    },
};

static QemuOpts *parse(QemuOptsList *list, const char *optarg)
{
    QemuOpts *opts;

    if (has_help_option(optarg)) {
        qemu_opts_print_help(list, true);
        exit(0);
    }
    if (!QTAILQ_EMPTY(&list->head)) {
        error_report("-%s may be given once only", list->name);
        exit(SAMSARA_EXIT_SETUP);
    }
    opts = qemu_opts_parse_noisily(list, optarg, true);
    if (!opts) {
        exit(SAMSARA_EXIT_SETUP);
    }
    return opts;
}

static void require_file(QemuOpts *opts, const char *what)
{
    if (!qemu_opt_get(opts, "file")) {
        error_report("%s", what);
        exit(SAMSARA_EXIT_SETUP);
    }
}

void samsara_parse_record(const char *optarg)
{
    QemuOpts *opts = parse(&record_opts, optarg);

    if (qemu_opt_get_bool(opts, "start", true)) {
        require_file(opts, "-record needs file=, or start=off");
    }
}

void samsara_parse_replay(const char *optarg)
{
    require_file(parse(&replay_opts, optarg), "-replay needs file=");
}

static const QemuOptDesc *find_desc(const QemuOptsList *list, const char *name)
{
    const QemuOptDesc *desc;

    for (desc = list->desc; desc->name; desc++) {
        if (!strcmp(desc->name, name)) {
            return desc;
        }
    }
    return NULL;
}

/* Errors name the option as it was written. */
static int check_value(void *opaque, const char *name, const char *value,
                       Error **errp)
{
    QemuOpts *opts = opaque;
    bool ok;

    switch (find_desc(&record_opts, name)->type) {
    case QEMU_OPT_NUMBER:
        ok = samsara_check_number(name, qemu_opt_get_number(opts, name, 0),
                                  errp);
        break;
    case QEMU_OPT_SIZE:
        ok = samsara_check_number(name, qemu_opt_get_size(opts, name, 0),
                                  errp);
        break;
    default:
        ok = samsara_check_word(name, value, errp);
        break;
    }
    return !ok;
}

static void check_record_values(QemuOpts *opts)
{
    Error *err = NULL;

    qemu_opt_foreach(opts, check_value, opts, &err);
    if (err) {
        error_reportf_err(err, "-record ");
        exit(SAMSARA_EXIT_SETUP);
    }
}

/* Turns an option into a property of the accelerator. */
static int set_property(void *opaque, const char *name, const char *value,
                        Error **errp)
{
    const char *verb = opaque;
    g_autofree char *prop = NULL;

    if (!strcmp(verb, "record") && !strcmp(name, "start")) {
        return 0;
    }
    prop = !strcmp(name, "file") ? g_strdup(verb)
                                 : g_strdup_printf("%s-%s", verb, name);
    object_register_sugar_prop(ACCEL_CLASS_NAME("kvm"), prop, value, false);
    return 0;
}

static void check_replay_words(QemuOpts *opts)
{
    const char *mode = qemu_opt_get(opts, "mode");
    const char *at_end = qemu_opt_get(opts, "at-end");

    if (at_end && strcmp(at_end, "exit") && strcmp(at_end, "pause")) {
        error_report("-replay at-end=%s: must be exit or pause", at_end);
        exit(SAMSARA_EXIT_SETUP);
    }
    if (mode && strcmp(mode, "serial") && strcmp(mode, "parallel")) {
        error_report("-replay mode=%s: must be serial or parallel", mode);
        exit(SAMSARA_EXIT_SETUP);
    }
}

static void require_kvm(const char *verb, QDict *machine_opts)
{
    QemuOpts *accel = QTAILQ_FIRST(&qemu_find_opts("accel")->head);
    const char *name = accel ? qemu_opt_get(accel, "accel")
                             : qdict_get_try_str(machine_opts, "accel");

    if (!accel_find("kvm")) {
        error_report("-%s needs KVM, which is not in this build", verb);
        exit(SAMSARA_EXIT_SETUP);
    }
    if (name && strcmp(name, "kvm")) {
        error_report("-%s needs -accel kvm, not %s", verb, name);
        exit(SAMSARA_EXIT_SETUP);
    }
    if (!name) {
        qdict_put_str(machine_opts, "accel", "kvm");
    }
}

static void configure_record(QemuOpts *opts, QDict *machine_opts,
                             const char *cpu_option)
{
    check_record_values(opts);
    require_kvm("record", machine_opts);
    samsara_opts.cpu = g_strdup(cpu_option);
    samsara_opts.on_demand = !qemu_opt_get_bool(opts, "start", true);
    samsara_recordable = true;
    qemu_opt_foreach(opts, set_property, (void *)"record", &error_fatal);
    /* The option ROM patches the guest's code behind our back. */
    object_register_sugar_prop("apic-common", "vapic", "off", true);
}

static void open_recording(const char *file)
{
    struct smr_err err = { };
    g_autofree char *text = NULL;
    Error *local_err = NULL;

    samsara_opts.replay = g_strdup(file);
    if (smr_reader_open(&samsara_opts.reader, file, &err) < 0 ||
        smr_reader_extent(samsara_opts.reader, &samsara_opts.extent,
                          &err) < 0) {
        error_report("%s", smr_file_errstr(&err));
        exit(SAMSARA_EXIT_FILE);
    }
    if (!samsara_opts.extent.initial) {
        error_report("%s: the initial state is incomplete: nothing to replay",
                     file);
        exit(SAMSARA_EXIT_FILE);
    }
    text = samsara_read_text("machine", &local_err);
    if (!text) {
        error_report_err(local_err);
        exit(SAMSARA_EXIT_FILE);
    }
    if (samsara_machine_from_text(&samsara_opts.machine, text, &local_err) &&
        samsara_opts.machine.cpus !=
        smr_reader_info(samsara_opts.reader)->nr_vcpus) {
        error_setg(&local_err, "machine description: number of vCPUs differs "
                   "from the header's");
    }
    if (local_err) {
        error_reportf_err(local_err, "%s: ", file);
        exit(SAMSARA_EXIT_FILE);
    }
}

static void check_extent(const char *file)
{
    const struct smr_extent *x = &samsara_opts.extent;

    if (!x->replayable) {
        error_report("%s: no complete commit: nothing to replay", file);
        exit(SAMSARA_EXIT_FILE);
    }
    if (x->damage.code && !x->complete) {
        warn_report("%s", smr_file_errstr(&x->damage));
    }
    if (!x->complete) {
        warn_report("%s: recording is incomplete: replaying up to commit %"
                    PRIu64, file, x->replayable);
    }
}

static void put_smp(QDict *machine_opts, const SamsaraMachine *m)
{
    QDict *smp = qdict_new();
    const struct { const char *key; uint32_t n; } v[] = {
        { "cpus", m->cpus }, { "sockets", m->sockets }, { "dies", m->dies },
        { "cores", m->cores }, { "threads", m->threads },
    };
    int i;

    for (i = 0; i < ARRAY_SIZE(v); i++) {
        g_autofree char *n = g_strdup_printf("%" PRIu32, v[i].n);

        qdict_put_str(smp, v[i].key, n);
    }
    qdict_put(machine_opts, "smp", smp);
}

static void configure_replay(QemuOpts *opts, QDict *machine_opts,
                             const char **cpu_option)
{
    const char *file = qemu_opt_get(opts, "file");

    check_replay_words(opts);
    samsara_refuse_options(machine_opts);
    require_kvm("replay", machine_opts);
    open_recording(file);
    check_extent(file);

    qdict_put_str(machine_opts, "type", "samsara-replay");
    put_smp(machine_opts, &samsara_opts.machine);
    *cpu_option = samsara_opts.machine.cpu;
    qemu_opt_foreach(opts, set_property, (void *)"replay", &error_fatal);
}

void samsara_configure(QDict *machine_opts, const char **cpu_option)
{
    QemuOpts *record = QTAILQ_FIRST(&record_opts.head);
    QemuOpts *replay = QTAILQ_FIRST(&replay_opts.head);

    if (record && replay) {
        error_report("-record and -replay are mutually exclusive");
        exit(SAMSARA_EXIT_SETUP);
    }
    if (record) {
        configure_record(record, machine_opts, *cpu_option);
    } else if (replay) {
        configure_replay(replay, machine_opts, cpu_option);
    }
}

static void register_opts(void)
{
    qemu_add_opts(&record_opts);
    qemu_add_opts(&replay_opts);
}
opts_init(register_opts);
