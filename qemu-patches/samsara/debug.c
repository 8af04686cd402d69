/*
 * Record and replay of multiprocessor KVM guests: a debugger's way through a
 * replay, forwards and back
 *
 * The kernel stops vCPUs at breakpoints, watchpoints, after an instruction, or
 * at a place in a chunk (KVM_SAMSARA_GRP_DEBUG).  Forwards, that is all, as
 * long as there are no more points than the kernel can look for.  If there are,
 * a stretch of the replay is run once for each group of them (SEARCH): the
 * first group's goes to where it stops or the stretch ends, the next one's from
 * the beginning of the stretch (COME) to there, or to where that one stops
 * before.  So nothing has to be known about which of two places comes first.
 *
 * Backwards the replay begins again before the place that is looked for:
 *
 * continue: everything up to HERE is run (SCAN); the last breakpoint or
 *      watchpoint that was met on the way is the place.  Another group of
 *      points is looked for from there on (COME), or, if there was none, from
 *      where the scan has begun.  With a watchpoint the guest has to be brought
 *      to where the instruction is still to come, so that the debugger sees the
 *      old value: one step back from there.
 * step: the guest goes to a place shortly before the one that the step is to
 *      lead away from (APPROACH), and from there in steps until it is there
 *      (WALK); the step before that was the place.  The next step back may be
 *      one of the same walk, and needs none of its own.
 *
 * Then it begins once more and goes to the place (RETURN).
 *
 * Somebody who names a place in a chunk is taken to its branches in the same
 * way (SEEK), and from there in steps to its instruction (FIND).
 *
 * All of it happens in the main thread, with the vCPUs out of KVM_RUN, but for
 * samsara_debug_exit().  The VM counts as running all the while.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "block/aio.h"
#include "exec/gdbstub.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qapi/error.h"
#include "cpu.h"
#include "sysemu/cpus.h"
#include "sysemu/runstate.h"
#include "samsara.h"
#include "samsara-int.h"
#include "trace.h"

/* kvm_run->debug.arch.dr6 */
#define HITS_MASK   0xeU
/* VMX basic exit reason */
#define END_HLT     12
/* Commits of a search's first stretch; each is twice as long as the last one */
#define STRETCH     1024
/* Steps of a walk that are remembered */
#define TRAIL       4096
/* For look_for(): the debugger's points are not looked for. */
#define NO_POINTS   UINT_MAX

/* In the chunk of a commit, or, with a commit only, where that is done. */
typedef struct Place {
    uint64_t commit;
    bool in_chunk;
    int vcpu;
    struct kvm_samsara_position pos;
} Place;

typedef enum Phase {
    STAND,                      /* nobody has asked for anything */
    FORWARD,
    SEARCH,
    SCAN,
    COME,
    APPROACH,
    WALK,
    RETURN,
    SEEK,
    FIND,
} Phase;

static struct {
    CPUState *cpu;              /* that the debugger means; NULL: the first */
    Phase phase;
    int step;                   /* FORWARD: the vCPU that steps, or -1 */
    Place here;                 /* where the way back begins, a seek ends */
    Place from;                 /* where the search or the scan begins, */
    Place to;                   /* and where it ends */
    Phase pass;                 /* SEARCH or SCAN, */
    unsigned group;             /* for the points of this group */
    uint64_t stretch;           /* commits of the search */
    bool found;
    GArray *trail;              /* places of the last walk, one step apart */
    Place best;                 /* what was found */
    uint32_t hits;              /* that were met there, */
    unsigned hit_group;         /* points of this group */
    unsigned next_group;        /* COME: which pass comes then */
    const char *history;        /* one of its ends is where the guest is */
    void (*next)(void);         /* what comes after a vCPU's stop */
    CPUWatchpoint watchpoint;   /* for QEMU's gdbstub */
} dbg = {
    .step = -1,
};

static bool same_place(const Place *a, const Place *b)
{
    return a->commit == b->commit && a->in_chunk == b->in_chunk &&
           (!a->in_chunk || !memcmp(&a->pos, &b->pos, sizeof(a->pos)));
}

CPUState *samsara_debug_cpu(void)
{
    return dbg.cpu ?: first_cpu;
}

void samsara_debug_choose(CPUState *cpu)
{
    if (cpu) {
        dbg.cpu = cpu;
    }
}

/*
 * The kernel looks for a group of points, or NO_POINTS, and what is given.
 * False: it can't, where the guest is.
 */
static bool look_for(unsigned group, uint32_t flags, int vcpu,
                     const Place *place)
{
    struct kvm_samsara_debug debug = {
        .flags = flags,
        .vcpu = vcpu,
    };

    if (group != NO_POINTS) {
        samsara_points_get(group, &debug);
    }
    dbg.group = group;
    if (place) {
        debug.commit = place->commit;
        debug.pos = place->pos;
    }
    samsara_replay_one_by_one(debug.flags || debug.nr_points);
    /* it has nothing to do where the replay has ended */
    return samsara_device_debug(&debug) >= 0;
}

/* Places */

static void get_place(CPUState *cpu, struct kvm_samsara_place *place)
{
    samsara_device_place(kvm_arch_vcpu_id(cpu), place);
}

static Place chunk_place(CPUState *cpu)
{
    struct kvm_samsara_place place = { };

    get_place(cpu, &place);
    return (Place) {
        .commit = place.commit,
        .in_chunk = place.commit,
        .vcpu = cpu->cpu_index,
        .pos = place.pos,
    };
}

/* Where the guest is: in the chunk of one vCPU, or between two commits. */
static Place current_place(void)
{
    struct kvm_samsara_status st;
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        Place place = chunk_place(cpu);

        if (place.in_chunk) {
            return place;
        }
    }
    samsara_device_status(&st);
    return (Place) { .commit = st.commits };
}

/* The guest stands */

static void stand(void)
{
    dbg.phase = STAND;
    /* a pass that ended before its stretch, a seek */
    samsara_replay_unpause();
}

static void stop_at(CPUState *cpu)
{
    stand();
    dbg.cpu = cpu;
    if (!runstate_is_running()) {
        /* it has to stop, or nobody is told */
        vm_prepare_start(false);
    }
    gdb_set_stop_cpu(cpu);
    vm_stop(RUN_STATE_DEBUG);
}

static void stand_here(void *opaque)
{
    if (dbg.phase == RETURN) {
        stop_at(qemu_get_cpu(dbg.best.vcpu));
    }
}

/* The replay has nothing before this. */
static void stand_at_beginning(void)
{
    samsara_replay_rewind(0);
    dbg.history = "replaylog:begin;";
    stop_at(first_cpu);
}

const char *samsara_debug_history(void)
{
    const char *history = dbg.history;

    dbg.history = NULL;
    return history ?: samsara_replay_ended() ? "replaylog:end;" : "";
}

/* What the debugger is told: the watchpoint, if it is one */
static void report_hits(CPUState *cpu, unsigned group, uint32_t hits)
{
    const struct kvm_samsara_debug_point *point =
        samsara_points_watched(group, hits);

    if (point) {
        dbg.watchpoint.vaddr = point->addr;
        dbg.watchpoint.flags = point->type == KVM_SAMSARA_POINT_WRITE
                               ? BP_MEM_WRITE : BP_MEM_ACCESS;
        cpu->watchpoint_hit = &dbg.watchpoint;
    }
}

/* Ways back; the vCPUs are out of KVM_RUN */

static void go(Phase phase)
{
    dbg.phase = phase;
    if (runstate_is_running()) {
        resume_all_vcpus();
    } else {
        vm_start();
    }
}

static void return_to_best(void)
{
    samsara_replay_rewind(dbg.best.commit - 1);
    look_for(NO_POINTS, KVM_SAMSARA_DEBUG_GOTO, 0, &dbg.best);
    go(RETURN);
}

static void return_to_commit(uint64_t commit, int vcpu)
{
    if (!commit) {
        stand_at_beginning();
        return;
    }
    samsara_replay_rewind(commit);
    dbg.best = (Place) { .commit = commit, .vcpu = vcpu };
    look_for(NO_POINTS, 0, 0, NULL);
    samsara_replay_pause(commit, stand_here);
    go(RETURN);
}

/* Places of a walk */

static void forget_trail(void)
{
    if (!dbg.trail) {
        dbg.trail = g_array_new(false, false, sizeof(Place));
    }
    g_array_set_size(dbg.trail, 0);
}

static void remember(const Place *place)
{
    /* Those at the end are what is asked for. */
    if (dbg.trail->len == TRAIL) {
        g_array_remove_range(dbg.trail, 0, TRAIL / 2);
    }
    g_array_append_val(dbg.trail, *place);
}

/* The one a step before @place, NULL: not known */
static const Place *remembered_before(const Place *place)
{
    unsigned i;

    for (i = 1; dbg.trail && i < dbg.trail->len; i++) {
        if (same_place(&g_array_index(dbg.trail, Place, i), place)) {
            return &g_array_index(dbg.trail, Place, i - 1);
        }
    }
    return NULL;
}

/* A step back from a place in a chunk */
static void step_back_in_chunk(const Place *from)
{
    const Place *known = remembered_before(from);
    Place before = *from;

    if (known) {
        dbg.best = *known;
        return_to_best();
        return;
    }
    forget_trail();
    before.pos.branches -= !!before.pos.branches;
    before.pos.jumps -= !!before.pos.jumps;
    dbg.here = *from;
    samsara_replay_rewind(from->commit - 1);
    look_for(NO_POINTS, KVM_SAMSARA_DEBUG_GOTO | KVM_SAMSARA_DEBUG_AT_LEAST, 0,
             &before);
    go(APPROACH);
}

/* The same from where the vCPU's last commit is done */
static void step_back_over_commit(CPUState *cpu)
{
    struct kvm_samsara_place place = { };
    Place from = { .in_chunk = true, .vcpu = cpu->cpu_index };

    get_place(cpu, &place);
    from.commit = place.last_commit;
    from.pos = place.last_pos;
    if (!place.last_commit) {
        stand_at_beginning();
    } else if (place.last_type == SMR_SECTION) {
        /* one of those for the instruction that the chunk has ended with */
        return_to_commit(place.last_chunk, cpu->cpu_index);
    } else if (place.last_type != SMR_CHUNK) {
        return_to_commit(place.last_commit - 1, cpu->cpu_index);
    } else if (place.last_end == END_HLT) {
        /* that was the last instruction, and no section of its own */
        dbg.best = from;
        return_to_best();
    } else {
        step_back_in_chunk(&from);
    }
}

static void step_back_again(void)
{
    step_back_over_commit(qemu_get_cpu(dbg.here.vcpu));
}

static void walk(void)
{
    look_for(NO_POINTS, KVM_SAMSARA_DEBUG_STEP, dbg.here.vcpu, NULL);
    go(WALK);
}

/* The next thing to do, unless somebody else has stopped the VM. */
static void proceed(void *opaque)
{
    samsara_replay_vcpu_waits(false);
    if (dbg.phase != STAND) {
        pause_all_vcpus();
        dbg.next();
    }
}

/* One stretch, once for each group of points */

static void pass_over(void);

static void prepare_pass(unsigned group)
{
    dbg.phase = dbg.pass;
    if (dbg.to.in_chunk) {
        samsara_replay_continued();
        look_for(group, KVM_SAMSARA_DEBUG_GOTO, 0, &dbg.to);
    } else {
        look_for(group, 0, 0, NULL);
        dbg.next = pass_over;
        samsara_replay_pause(dbg.to.commit, proceed);
    }
}

static void run_pass(unsigned group)
{
    prepare_pass(group);
    go(dbg.pass);
}

static void run_next_pass(void)
{
    run_pass(dbg.next_group);
}

/* From a place that is behind */
static void run_pass_from(unsigned group, const Place *from)
{
    uint64_t at = samsara_replay_rewind(from->commit - from->in_chunk);

    dbg.next_group = group;
    if (from->in_chunk) {
        look_for(NO_POINTS, KVM_SAMSARA_DEBUG_GOTO, 0, from);
    } else if (at == from->commit) {
        run_next_pass();
        return;
    } else {
        look_for(NO_POINTS, 0, 0, NULL);
        dbg.next = run_next_pass;
        samsara_replay_pause(from->commit, proceed);
    }
    go(COME);
}

static void scan(void)
{
    dbg.pass = SCAN;
    dbg.to = dbg.here;
    dbg.from = (Place) {
        .commit = samsara_replay_rewind(dbg.here.commit - 1),
    };
    run_pass(0);
}

static void scan_over(void)
{
    if (!dbg.found && dbg.from.commit) {
        /* what comes before the checkpoint */
        dbg.here = dbg.from;
        scan();
    } else if (!dbg.found) {
        stand_at_beginning();
    } else if (samsara_points_watched(dbg.hit_group, dbg.hits)) {
        Place hit = dbg.best;

        step_back_in_chunk(&hit);
    } else {
        return_to_best();
    }
}

/* From where the guest is; it goes on afterwards. */
static void prepare_search(uint64_t stretch)
{
    dbg.pass = SEARCH;
    dbg.stretch = stretch;
    dbg.from = current_place();
    /* Behind the end it can't pause: it ends. */
    dbg.to = (Place) {
        .commit = MIN(dbg.from.commit + stretch, samsara_replay_limit() + 1),
    };
    prepare_pass(0);
}

static void search_over(void)
{
    if (dbg.found) {
        CPUState *cpu = qemu_get_cpu(dbg.best.vcpu);

        report_hits(cpu, dbg.hit_group, dbg.hits);
        stop_at(cpu);
    } else if (samsara_replay_ended()) {
        dbg.phase = STAND;
        vm_stop(RUN_STATE_PAUSED);
    } else {
        /* where the next stretch's passes begin */
        samsara_checkpoint_take(dbg.to.commit);
        prepare_search(2 * dbg.stretch);
        go(SEARCH);
    }
}

static void pass_over(void)
{
    if (dbg.group + 1 < samsara_points_groups()) {
        run_pass_from(dbg.group + 1, dbg.pass == SCAN && dbg.found
                                     ? &dbg.best : &dbg.from);
    } else if (dbg.pass == SCAN) {
        scan_over();
    } else {
        search_over();
    }
}

/* A place in a chunk */

/* The debugger's vCPU stays what it is: it asks where the others are. */
static void stand_at_place(void)
{
    stand();
    vm_stop(RUN_STATE_PAUSED);
}

static void no_such_place(void *opaque)
{
    if (dbg.phase == SEEK || dbg.phase == FIND) {
        error_report("samsara: commit %" PRIu64 " has no such place: the guest "
                     "is behind it", dbg.here.commit);
        stand_at_place();
    }
}

static void find_place(void)
{
    look_for(NO_POINTS, KVM_SAMSARA_DEBUG_STEP, dbg.here.vcpu, NULL);
    go(FIND);
}

static bool look_for_place(void)
{
    return look_for(NO_POINTS,
                    KVM_SAMSARA_DEBUG_GOTO | KVM_SAMSARA_DEBUG_AT_LEAST, 0,
                    &dbg.here);
}

static void seek_place(const struct smr_seek *where)
{
    dbg.here = (Place) {
        .commit = where->n,
        .in_chunk = true,
        .pos.branches = where->branches,
        .pos.jumps = where->jumps,
        .pos.rip = where->rip,
    };
    /* chunks that run side by side can't be stopped in */
    if (!samsara_replay_is_ahead(where->n - 1) || !look_for_place()) {
        samsara_replay_rewind(where->n - 1);
        look_for_place();
    }
    samsara_replay_pause(where->n, no_such_place);
    go(SEEK);
}

/* Stops of vCPUs, by their threads */

/* The vCPU waits while the main thread decides. */
static int ask_main_thread(CPUState *cpu, void (*next)(void))
{
    cpu->stopped = true;
    dbg.next = next;
    samsara_replay_vcpu_waits(true);
    aio_bh_schedule_oneshot(qemu_get_aio_context(), proceed, NULL);
    return EXCP_HALTED;
}

static void found(const Place *place, uint32_t hits)
{
    dbg.found = true;
    dbg.best = *place;
    dbg.hits = hits;
    dbg.hit_group = dbg.group;
}

static int stopped_in_scan(CPUState *cpu, const Place *place, uint32_t hits)
{
    bool here = dbg.to.in_chunk && (!hits || same_place(place, &dbg.to));

    if (hits && (!here || samsara_points_watched(dbg.group, hits))) {
        found(place, hits);
    }
    return here ? ask_main_thread(cpu, pass_over) : 0;
}

/* The first stop of a pass is its last. */
static int stopped_in_search(CPUState *cpu, const Place *place, uint32_t hits)
{
    if (hits) {
        found(place, hits);
    }
    dbg.to = *place;
    return ask_main_thread(cpu, pass_over);
}

static int stopped_in_walk(CPUState *cpu, const Place *place)
{
    if (same_place(place, &dbg.here) || place->commit != dbg.here.commit) {
        remember(&dbg.here);
        return ask_main_thread(cpu, return_to_best);
    }
    dbg.best = *place;
    remember(place);
    return 0;
}

static int stopped_in_approach(CPUState *cpu, const Place *place)
{
    if (same_place(place, &dbg.here)) {
        return ask_main_thread(cpu, step_back_again);
    }
    dbg.best = *place;
    remember(place);
    return ask_main_thread(cpu, walk);
}

static int stopped_in_seek(CPUState *cpu, const Place *place)
{
    uint64_t rip = dbg.here.pos.rip;

    if (place->commit == dbg.here.commit && (!rip || place->pos.rip == rip)) {
        return ask_main_thread(cpu, stand_at_place);
    }
    if (dbg.phase == FIND) {
        return 0;
    }
    dbg.here.vcpu = cpu->cpu_index;
    return ask_main_thread(cpu, find_place);
}

static int stopped(CPUState *cpu, uint32_t hits)
{
    Place place = chunk_place(cpu);

    trace_samsara_debug_stop(cpu->cpu_index, dbg.phase, place.commit,
                             place.pos.branches, place.pos.rip, hits);
    switch (dbg.phase) {
    case SEARCH:
        return stopped_in_search(cpu, &place, hits);
    case COME:
        return ask_main_thread(cpu, run_next_pass);
    case SCAN:
        return stopped_in_scan(cpu, &place, hits);
    case APPROACH:
        return stopped_in_approach(cpu, &place);
    case WALK:
        return stopped_in_walk(cpu, &place);
    case SEEK:
    case FIND:
        return stopped_in_seek(cpu, &place);
    case RETURN:
        report_hits(cpu, dbg.hit_group, dbg.hits);
        break;
    default:
        report_hits(cpu, dbg.group, hits);
        break;
    }
    stand();
    dbg.cpu = cpu;
    /* until the main thread has stopped the VM */
    samsara_replay_vcpu_waits(true);
    return EXCP_DEBUG;
}

int samsara_debug_exit(CPUState *cpu, struct kvm_run *run)
{
    int ret;

    qemu_mutex_lock_iothread();
    ret = stopped(cpu, run->debug.arch.dr6 & HITS_MASK);
    qemu_mutex_unlock_iothread();
    return ret;
}

/* What the debugger asks for, with the VM stopped */

void samsara_debug_forward(int step)
{
    dbg.step = step;
    dbg.phase = FORWARD;
    vm_start();
}

void samsara_debug_step_back(CPUState *cpu)
{
    Place from = chunk_place(cpu);

    dbg.hits = 0;
    if (from.in_chunk) {
        step_back_in_chunk(&from);
    } else {
        step_back_over_commit(cpu);
    }
}

void samsara_debug_continue_back(void)
{
    dbg.here = current_place();
    dbg.found = false;
    dbg.hits = 0;
    if (!dbg.here.in_chunk && !dbg.here.commit) {
        stand_at_beginning();
    } else {
        scan();
    }
}

void samsara_debug_seek(const struct smr_seek *where, Error **errp)
{
    uint64_t commit;

    if (where->kind != SMR_AT_PLACE) {
        samsara_replay_seek(where, errp);
    } else if (samsara_replay_prepare_seek(where, &commit, errp)) {
        seek_place(where);
    }
}

void samsara_debug_state_change(bool running)
{
    if (!running) {
        if (dbg.phase != STAND) {
            /* somebody else has stopped it on its way */
            stand();
        }
        samsara_replay_vcpu_waits(false);
        samsara_replay_stopped();
        return;
    }
    if (dbg.phase != STAND && dbg.phase != FORWARD) {
        return;
    }
    if (dbg.step >= 0) {
        look_for(0, KVM_SAMSARA_DEBUG_STEP, dbg.step, NULL);
    } else if (samsara_points_groups() > 1) {
        dbg.found = false;
        prepare_search(STRETCH);
    } else {
        look_for(0, 0, 0, NULL);
    }
    dbg.step = -1;
}
