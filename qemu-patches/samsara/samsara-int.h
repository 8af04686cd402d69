/*
 * Record and replay of multiprocessor KVM guests: internal declarations
 *
 * The files stand on floors: what QEMU calls is on top, then the start of a
 * recording and replay, what goes on while recording, the guest, what commits
 * use, the kernel's device and texts, and what all of them share.  A file uses
 * only those to its right and those on lower floors; where a lower one has to
 * call back, it is handed the function.  core/ and lib/ are below all of them.
 *
 * .. floors-begin
 * 6  opts.c properties.c accel.c gdb.c monitor.c machine.c cpu.c
 * 5  debug.c record.c replay.c index.c checkpoint.c divergence.c export.c
 * 4  shadow.c dma.c reset.c map.c end.c log.c images.c notes.c feed.c
 * 3  seek.c screen.c screen-stub.c ram.c memory.c state.c console.c refuse.c
 * 2  sets.c linear.c
 * 1  model.c host.c tsc.c refuse-options.c settings.c desc.c text.c device.c
 * 0  commits.c refuse-commands.c points.c barrier.c session.c
 * .. floors-end
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#ifndef ACCEL_KVM_SAMSARA_INT_H
#define ACCEL_KVM_SAMSARA_INT_H

#include <linux/kvm_samsara.h>
#include "qemu/units.h"
#include "qapi/qmp/qdict.h"
#include "smr_file.h"
#include "smr_seek.h"

/* Exit statuses of -record and -replay.  Documented in qemu-options.hx. */
enum {
    SAMSARA_EXIT_EXACT = 0,
    SAMSARA_EXIT_SETUP = 1,     /* usage, or the host refuses */
    SAMSARA_EXIT_FILE = 2,      /* the recording can't be read */
    SAMSARA_EXIT_HOST = 3,      /* recorded on another CPU model */
    SAMSARA_EXIT_DIVERGED = 4,
    SAMSARA_EXIT_KERNEL = 5,
};

/* What rebuilds the machine: the recording's "machine" blob. */
typedef struct SamsaraMachine {
    char *type;                 /* machine type it was recorded on */
    char *cpu;                  /* argument of -cpu */
    char *cmdline;              /* for information */
    uint32_t cpus, sockets, dies, cores, threads;
    uint32_t phys_bits;
    uint64_t tsc_khz;           /* for information: reads are in the log */
    uint32_t cpuid_tsc_khz;     /* what CPUID says of it, 0: nothing */
    uint32_t chaos;             /* for information: settings of that name */
    uint32_t seed;
    /* the processor it was recorded on; SAMSARA_UNKNOWN or a value of it */
    uint64_t host_stepping, host_microcode, host_core_type;
} SamsaraMachine;

#define SAMSARA_UNKNOWN UINT64_MAX

#define SAMSARA_NR_TUNABLES (KVM_SAMSARA_TUNABLE_SEED + 1)
#define SAMSARA_UNSET UINT64_MAX

/*
 * The -record options among them, which are properties of the accelerator, too:
 * f(name, KVM_SAMSARA_TUNABLE_*, min, max, what it is).  The kernel checks
 * the range as well (Documentation/sysfs-kernel-samsara).
 */
#define SAMSARA_RECORD_TUNABLES(f) \
    f("chunk", CHUNK_LIMIT, 256, 4 * GiB, \
      "longest chunk in conditional branches; settings that are not " \
      "given are those of /sys/kernel/samsara") \
    f("chunk-min", CHUNK_MIN, 256, 4 * GiB, \
      "conflicts make chunks no shorter than this") \
    f("chunk-adaptive", CHUNK_ADAPTIVE, 0, 1, \
      "1: each vCPU's chunks have the length that suits it") \
    f("rollbacks", ROLLBACK_LIMIT, 1, 1000, \
      "rollbacks in a row before a vCPU stops the others") \
    f("copies", MAX_COPIES, 16, 2048, \
      "private pages a vCPU keeps between chunks") \
    f("copy-age", COPY_AGE, 0, 1 * MiB, \
      "chunks after which an unused one is dropped") \
    f("compare", COMPARE, 0, 1, \
      "1: only pages whose content has changed count as written") \
    f("memdigest", MEMDIGEST_INTERVAL, 1, 1 * MiB, \
      "commits from one digest of all memory to the next") \
    f("slice", SERIAL_SLICE_US, 50, 1000000, \
      "mode=serial: microseconds of a vCPU's turn") \
    f("adaptive", ADAPTIVE, 0, 1, \
      "1: serial phases when vCPUs disturb each other") \
    f("chaos", CHAOS, 0, 10, \
      "looks for rare interleavings, at the price of speed") \
    f("seed", SEED, 1, UINT32_MAX, \
      "of what is left to chance; default: another one each time")

/*
 * session.c: what the command line and the accelerator's properties say.  Sizes
 * and counts are 0 if not given.
 */
typedef struct SamsaraOpts {
    char *record;               /* file names: at most one is set */
    char *replay;
    bool on_demand;             /* the monitor says when to record */
    char *mode;                 /* of the recording; NULL: parallel */
    char *replay_mode;          /* NULL: serial */
    uint64_t tunable[SAMSARA_NR_TUNABLES];  /* SAMSARA_UNSET: the host's */
    uint64_t ring;
    uint64_t compress;
    uint64_t report;            /* 0: no notes of what was slow */
    uint64_t debug_fault_commit;
    char *stop_at;              /* a position; NULL: the end */
    uint64_t max_size;          /* of the recording */
    char *on_error;             /* of the recording; NULL: continue */
    char *disk;                 /* of the recording; NULL: inline */
    char *images;               /* replay: where disk images are */
    char *export;               /* replay: directory for what devices got */
    char *at_end;               /* of the replay; NULL: exit */
    uint64_t stamps;            /* of the replay; 0: none */
    uint64_t max_memory;        /* of a replayed guest; 0: what the host has */
    uint64_t checkpoints;       /* commits from one to the next; 0: by itself */
    uint64_t checkpoint_memory; /* for them; 0: part of what the host has */
    char *index;                /* replay: checkpoints from this file, */
    char *save_index;           /* and to this one when QEMU exits */
    char *cpu;                  /* argument of -cpu, NULL if none */

    /* -replay: the open file */
    struct smr_reader *reader;
    struct smr_extent extent;
    SamsaraMachine machine;
} SamsaraOpts;

extern SamsaraOpts samsara_opts;

/* KVM_SAMSARA_MODE_RECORD*; 0: none of them */
uint32_t samsara_record_mode(void);
/* KVM_SAMSARA_MODE_REPLAY* */
uint32_t samsara_replay_mode(void);
/* -record on-error=stop */
bool samsara_stop_on_error(void);

#define SAMSARA_RING_DEFAULT    (1 * MiB)
#define SAMSARA_RING_MIN        (256 * KiB)
#define SAMSARA_RING_MAX        (16 * MiB)
#define SAMSARA_COMPRESS_DEFAULT 1

/* text.c: text in recordings */
/* A blob of lines, without any other control character; to be freed. */
char *samsara_read_text(const char *blob, Error **errp);
/* Fits into one line: control characters become spaces; to be freed. */
char *samsara_text_line(const char *text);
/* Letters, digits and the characters in @more only, at least one. */
bool samsara_is_word(const char *text, const char *more);

/* desc.c: the "machine" blob */
char *samsara_machine_to_text(const SamsaraMachine *m);
bool samsara_machine_from_text(SamsaraMachine *m, const char *text,
                               Error **errp);
/* Machine types that can be recorded */
bool samsara_machine_is_known(const char *type);
/* The first of them, and the others by their usual names */
const char *samsara_known_machines(void);
bool samsara_check_smp(const SamsaraMachine *m, Error **errp);
/* Text only: model and properties are samsara_check_cpu()'s business. */
bool samsara_check_cpu_text(const char *cpu, Error **errp);

/* settings.c: @name is that of the -record option */
bool samsara_check_number(const char *name, uint64_t value, Error **errp);
bool samsara_check_word(const char *name, const char *word, Error **errp);

/* barrier.c: @order is the kernel's; vCPUs are recorded in parallel */
void samsara_barrier_start(const struct kvm_samsara_order *order);
void samsara_barrier_stop(void);

/* refuse-commands.c: monitor commands, while replaying */
void samsara_refuse_commands(void);

/* refuse-options.c: exits if -replay can't be combined with what was given */
void samsara_refuse_options(const QDict *machine_opts);

#ifdef NEED_CPU_H

#include "qapi/qapi-types-samsara-target.h"
#include "hw/boards.h"
#include "sysemu/kvm_int.h"

/* device.c: the kernel's side */
typedef struct SamsaraRing {
    struct kvm_samsara_ring *hdr;
    uint8_t *data;
    uint32_t size;
    uint64_t pos;               /* our position, whatever the header says */
} SamsaraRing;

typedef struct SamsaraDevice {
    int fd;                     /* -1: none */
    int eventfd;
    unsigned nr_rings;          /* one per vCPU, then the VM's */
    SamsaraRing *rings;
    void *order;                /* NULL: not mapped */
    size_t order_len;
} SamsaraDevice;

extern SamsaraDevice samsara_device;

bool samsara_device_create(KVMState *s, Error **errp);
bool samsara_device_config(uint32_t mode, uint64_t stop_at, Error **errp);
bool samsara_device_start(Error **errp);
/* After the end, the guest stopped: as before samsara_device_config(). */
bool samsara_device_release(Error **errp);
/* The order of commits, as the kernel keeps it; NULL and an error */
const struct kvm_samsara_order *samsara_device_order(Error **errp);
int samsara_device_ctrl(uint64_t command);
int samsara_device_status(struct kvm_samsara_status *st);
/* Last commit number given out, while recording */
uint64_t samsara_device_committed(void);
/* Replay: no commit after this one begins; 0: all may */
int samsara_device_pause(uint64_t commit);
/* Pages that commits after @since have changed, as bits */
int samsara_device_changed(uint64_t since, uint64_t ram, uint64_t npages,
                           unsigned long *bits);
/* @sets: see there; -ENODATA: not known */
int samsara_device_sets(struct kvm_samsara_sets *sets);
int samsara_device_get_progress(unsigned stream,
                                struct kvm_samsara_progress *progress);
int samsara_device_set_progress(unsigned stream,
                                struct kvm_samsara_progress *progress);
int samsara_device_get_slots(struct kvm_samsara_slots *slots);
int samsara_device_set_slots(struct kvm_samsara_slots *slots);
int samsara_device_debug(struct kvm_samsara_debug *debug);
int samsara_device_place(unsigned long vcpu, struct kvm_samsara_place *place);
/* @nr: room, then how many there are */
int samsara_device_hot(unsigned long vcpu, struct kvm_samsara_hot_spot *spots,
                       uint32_t *nr);
int samsara_device_dma(uint64_t ram, const void *buf, uint32_t len);
/* KVM_SAMSARA_MAP_* */
int samsara_device_map(uint64_t what);
/* A vCPU's state, at most KVM_SAMSARA_STATE_MAX bytes; get: returns how many */
int samsara_device_set_state(unsigned long vcpu, const void *buf, uint32_t len);
int samsara_device_get_state(unsigned long vcpu, void *buf, uint32_t len);
struct SamsaraBlock;
bool samsara_device_ram(const struct SamsaraBlock *blocks, unsigned n,
                        Error **errp);
/* Waits for the kernel to want attention, at most @ms. */
void samsara_device_wait(int ms);
void samsara_device_kick(void);

/* tsc.c: the TSC's frequency, for the guest's CPUID up to this leaf */
#define SAMSARA_FREQUENCY_LEAF 0x16
/* 0: CPUID does not tell it. */
uint32_t samsara_cpuid_tsc_khz(CPUState *cpu);

/* host.c: stepping, microcode and core type of this processor */
void samsara_host_identity(SamsaraMachine *m);
/* Warns if they are not those of the recording. */
void samsara_host_compare(void);

/* model.c: the argument of -cpu */
bool samsara_check_cpu(const char *cpu, Error **errp);

/* refuse.c: what can't be recorded */
bool samsara_check_machine(MachineState *ms, KVMState *s, Error **errp);
bool samsara_check_devices(Error **errp);
bool samsara_check_memory(Error **errp);
bool samsara_check_vcpus(Error **errp);

/* commits.c: the log in words */
#define SAMSARA_COMMITS_MAX 64
/*
 * For each vCPU, and for devices, the last @n commits up to @commit, at most
 * SAMSARA_COMMITS_MAX, and the next one; to be freed.  NULL and an error
 */
char *samsara_commits_text(uint64_t commit, unsigned n, Error **errp);
/* The last commit before this one that has a digest of memory; 0: none */
uint64_t samsara_commits_digested(uint64_t before);

/* A page that a chunk has used */
#define SAMSARA_LINEAR_MAX 3
typedef struct SamsaraUsedPage {
    uint64_t ram;
    bool written;
    bool table;                 /* of the guest's page tables */
    unsigned nr_linear;         /* addresses that lead there, the first ones */
    uint64_t linear[SAMSARA_LINEAR_MAX];
} SamsaraUsedPage;

/* linear.c: fills in what leads to the pages, and which are page tables */
void samsara_linear_find(CPUState *cpu, SamsaraUsedPage *pages, unsigned nr);

/* sets.c */
/*
 * What the commit after which the guest stands has used, as an array of
 * SamsaraUsedPage, to be freed, and whose it was.  NULL and an error: not known
 */
GArray *samsara_sets_get(uint64_t commit, int *vcpu, Error **errp);

/* console.c: serial and debug consoles */
char *samsara_consoles_to_text(void);
bool samsara_consoles_load(Error **errp);
GByteArray *samsara_consoles_get_state(void);
void samsara_consoles_set_state(const GByteArray *state);
/* What a vCPU writes to a port.  True: it has ended a line. */
bool samsara_console_out(CPUState *cpu, uint16_t port, unsigned size,
                         unsigned count, const uint8_t *data);
/* Lines that were whole after @commit, if that was replayed */
uint64_t samsara_console_lines(uint64_t commit);
/* The commit after which this one was, counted from 1; 0: not known yet */
uint64_t samsara_console_commit(uint64_t line);
/* Those of all lines that are known, for another replay; false: nonsense */
GByteArray *samsara_console_get_lines(void);
bool samsara_console_set_lines(const void *commits, size_t len);
/* Is it one of this recording's? */
bool samsara_consoles_are_sound(const GByteArray *state);

/* state.c: vCPUs */
bool samsara_vcpus_save(struct smr_writer *w, Error **errp);
/* Exits with SAMSARA_EXIT_HOST if the CPU model differs. */
void samsara_vcpus_load(void);
/* All of one vCPU's that a reset sets; NULL and an error */
GByteArray *samsara_vcpu_get_state(CPUState *cpu, Error **errp);
/* By its thread.  Returns 0, or SAMSARA_EXIT_FILE or _HOST and an error. */
int samsara_vcpu_set_state(CPUState *cpu, const void *state, size_t len,
                           Error **errp);

/*
 * memory.c: all RAM that the guest may see, and where it is at the start: as
 * QEMU and KVM have it, or as the recording says
 */
typedef struct SamsaraBlock {
    uint64_t ram;               /* RAM address */
    hwaddr size;
    uint8_t *host;
    char *name;
} SamsaraBlock;

typedef struct SamsaraSlot {
    hwaddr gpa;
    hwaddr size;
    uint64_t ram;
    uint8_t *host;
    bool readonly;
} SamsaraSlot;

extern SamsaraBlock *samsara_blocks;
extern unsigned samsara_nr_blocks;
extern SamsaraSlot *samsara_slots;
extern unsigned samsara_nr_slots;

bool samsara_memory_collect(Error **errp);
/* Calls @go_on from time to time, and fails if that does. */
bool samsara_memory_save(struct smr_writer *w, bool (*go_on)(Error **errp),
                         Error **errp);
void samsara_memory_reset(void);
void samsara_memory_forget(void);
MemoryRegion *samsara_memory_region(const char *name, hwaddr size,
                                    Error **errp);
void samsara_memory_populate(void);
SamsaraBlock *samsara_block_of_host(const uint8_t *host);

/* ram.c: the recording's memory map; then RAM as it says, if enough */
bool samsara_ram_parse(Error **errp);
bool samsara_ram_create(Error **errp);
bool samsara_ram_load(Error **errp);
/* The replay begins again: all zero, as it was before that */
void samsara_ram_clear(void);
/* -replay checkpoint-memory= */
uint64_t samsara_checkpoint_memory(void);
/* The block at a RAM address, NULL: none */
SamsaraBlock *samsara_ram_at(uint64_t ram);

/* screen.c: the screen of a VGA card */
void samsara_screen_init(void);
/*
 * While recording, @written is called from now on.  Returns the card, and where
 * its memory is, or NULL.
 */
void *samsara_screen_watch(SamsaraRegister *written, uint64_t *ram,
                           uint64_t *size);
/* ... with what its registers are, if not as after a reset */
void samsara_screen_save(void);
/* For a replay, if the recording has one */
bool samsara_screen_create(Error **errp);
/* The replay begins again. */
bool samsara_screen_rewind(Error **errp);

/* log.c: from the kernel's rings to the file */
/* What a file may still grow by when the recording ends. */
uint64_t samsara_log_reserve(void);
/* Asks for the end of the recording, from any thread. */
typedef void SamsaraRequestEnd(SamsaraEndReason reason, const char *why);
/* @request_end: called when the log can't go on */
void samsara_log_start(struct smr_writer *w, SamsaraRequestEnd *request_end);
/* After the kernel has stopped; returns why the file is not whole, or NULL. */
const char *samsara_log_finish(void);

/* images.c: -record disk=ref */
bool samsara_images_wanted(void);
/* Finds them; what the recording says of them: a blob, to be freed */
char *samsara_images_start(void);
/* The image that is read from there; -1: none that can be named */
int samsara_images_index(BlockBackend *blk);
/* @len bytes at @ram are about to be commits, and may be what is at @offset */
void samsara_images_hint(int image, uint64_t offset, uint64_t ram,
                         uint64_t len);
/* The VM's record, or one that names its bytes; by the log's thread */
const uint8_t *samsara_images_name(const uint8_t *bytes, uint32_t *len);

/* Disks, networks, consoles and screens that a recording knows of */
#define SAMSARA_MAX_OUTPUTS 256

/* notes.c: what devices have got from the guest, and packets for it */
/* From now on; what the recording says of them: a blob, to be freed */
char *samsara_notes_start(void);
/* What is to be in the file, encoded, for an array that is empty */
GByteArray *samsara_notes_take(GByteArray *empty);
/* The kernel has ended the recording: what it has lost time over. */
void samsara_notes_end(void);
/* A device model has written to guest memory. */
void samsara_notes_written(void *host, size_t len);

/* dma.c: as samsara_dma_write() */
bool samsara_log_write(void *host, const void *buf, hwaddr len);

/* map.c: from the first change of KVM's slots to the end of the transaction */
void samsara_map_begin(void);
void samsara_map_watch(void);
/*
 * One change that lasts until the map is released; vCPUs' state may change
 * meanwhile.  False: nothing is recorded, or no longer.
 */
bool samsara_map_hold(void);
void samsara_map_release(void);

/* reset.c: resets of the machine, as a part of the recording */
void samsara_reset_init(void);
/* False: this one isn't. */
bool samsara_reset_begin(void);
/* Whether the vCPUs' registers may be set */
bool samsara_reset_sets_registers(void);

/* shadow.c: before there is RAM */
void samsara_shadow_init(void);
/* From now on it is noted what is read from images. */
void samsara_shadow_watch_reads(void);

/* end.c: the end of a recording */
void samsara_end_init(void);
void samsara_end_watch(struct smr_writer *w);
/* Ends the recording, if there is one, because the guest ends. */
void samsara_record_stop(void);
/* Ends it early, and with on-error=stop the guest.  The user is told why. */
void samsara_record_end(SamsaraEndReason reason, const char *why, ...)
    G_GNUC_PRINTF(2, 3);
/* The same, soon, by the main loop: for threads that can't. */
void samsara_record_request_end(SamsaraEndReason reason, const char *why);
bool samsara_record_exit(CPUState *cpu, struct kvm_run *run, int *ret);

/* feed.c: from the file to the kernel's rings */
/* All logs from their beginning; the device is configured. */
bool samsara_feed_open(Error **errp);
/* What comes before is nobody's business any more. */
bool samsara_feed_skip(unsigned ring, uint64_t bytes, Error **errp);
void samsara_feed_close(void);
/*
 * Fills the rings; by one thread at a time.  Returns > 0 if something was done,
 * 0 if not, or -1: the file can't be read, which was reported.
 */
int samsara_feed(void);

/* seek.c: positions in the recording that is replayed */
/*
 * The commit that is meant, of those up to @limit; SAMSARA_UNKNOWN: a line that
 * the guest has not printed so far.  False, and an error: there is none.
 */
bool samsara_position_commit(const struct smr_seek *where, uint64_t limit,
                             uint64_t *commit, Error **errp);
/* Where a vCPU is, in words, and as smr_seek_parse() takes it if in a chunk */
char *samsara_position_text(const struct kvm_samsara_place *place);
/* Milliseconds of the recording */
uint64_t samsara_position_time(uint64_t commit);

/* replay.c: a replay, from its start to its end, and again */
/* -replay stop-at= */
void samsara_replay_init(void);
void samsara_replay_start(void);
/* May the guest go there, and to which commit?  If so, its vCPUs are paused. */
bool samsara_replay_prepare_seek(const struct smr_seek *where,
                                 uint64_t *commit, Error **errp);
/* Goes there, and pauses; not at once.  No place in a chunk: see debug.c. */
void samsara_replay_seek(const struct smr_seek *where, Error **errp);
/* It is on its way there. */
bool samsara_replay_seeks(void);
/* The last commit that can be replayed */
uint64_t samsara_replay_limit(void);
/*
 * A checkpoint where the guest is.  Returns its commit; 0: a vCPU is in the
 * middle of something, it will be as soon as all of them are not; or an error
 */
uint64_t samsara_replay_checkpoint(Error **errp);
/*
 * The guest is where it was after a commit up to @commit, which is returned;
 * the vCPUs are paused.
 */
uint64_t samsara_replay_rewind(uint64_t commit);
/* Can the guest get there by going on?  Its vCPUs are paused. */
bool samsara_replay_is_ahead(uint64_t commit);
/* Nothing is done after @commit, but @arrived in the main thread. */
void samsara_replay_pause(uint64_t commit, QEMUBHFunc *arrived);
/* It goes on there, if it has not come there. */
void samsara_replay_unpause(void);
/* QEMU exits. */
void samsara_replay_end(void);
/* A debugger is there: QEMU does not exit at the end, and makes checkpoints. */
void samsara_replay_stay(bool stays);
/* A vCPU waits for the main thread, and must not run on. */
void samsara_replay_vcpu_waits(bool waits);
/* Is it over, or has it failed? */
bool samsara_replay_ended(void);
/* As soon as the VM runs: the kernel looks for what a debugger wants. */
void samsara_replay_one_by_one(bool on);
void samsara_replay_stopped(void);
/* The VM runs again, for whatever reason. */
void samsara_replay_continued(void);
/* Somebody ends QEMU before the replay has ended: exits. */
G_NORETURN void samsara_replay_interrupted(void);
bool samsara_replay_exit(CPUState *cpu, struct kvm_run *run, int *ret);

/* checkpoint.c: places from which a replay can go on */
#define SAMSARA_PAGE 4096

typedef struct SamsaraPage {
    uint64_t ram;
    uint8_t data[SAMSARA_PAGE];
} SamsaraPage;

typedef struct SamsaraSaved {
    uint64_t commit;
    GPtrArray *pages;           /* changed since the one before, sorted */
    GByteArray **vcpus;         /* samsara_vcpu_get_state() */
    struct kvm_samsara_progress *progress;  /* of each ring */
    struct kvm_samsara_slots slots;
    GByteArray *consoles;       /* samsara_consoles_get_state() */
} SamsaraSaved;

SamsaraSaved *samsara_checkpoint_new(uint64_t commit);
void samsara_checkpoint_free(SamsaraSaved *c);
/* It is the last one, and belongs to checkpoint.c from now on. */
void samsara_checkpoint_keep(SamsaraSaved *c);
/* In the order of their commits */
unsigned samsara_checkpoint_count(void);
const SamsaraSaved *samsara_checkpoint_at(unsigned i);
void samsara_checkpoint_init(void);
int samsara_checkpoint_take(uint64_t commit);
/* Commit of the last one, or of the last one up to @commit; 0: none */
uint64_t samsara_checkpoint_last(void);
uint64_t samsara_checkpoint_before(uint64_t commit);
void samsara_checkpoint_load(uint64_t commit);
void samsara_checkpoint_resume(uint64_t commit, Error **errp);
uint64_t samsara_checkpoint_offset(uint64_t commit, unsigned stream);

/* divergence.c: a report on standard error; the vCPUs are out of KVM_RUN */
void samsara_divergence_report(const struct kvm_samsara_status *st);
/* ... by the main thread: what the vCPU was about to execute */
void samsara_divergence_code(void);

/* index.c: checkpoints in a file */
void samsara_index_save(void);
/* Checkpoints up to commit @limit */
bool samsara_index_load(uint64_t limit, Error **errp);

/* points.c: what a debugger looks for, in groups for the kernel */
/* False: there is no room for one more. */
bool samsara_points_insert(const struct kvm_samsara_debug_point *point);
void samsara_points_remove(const struct kvm_samsara_debug_point *point);
void samsara_points_remove_all(void);
unsigned samsara_points_groups(void);
void samsara_points_get(unsigned group, struct kvm_samsara_debug *debug);
/* @hits: bits of kvm_run->debug.arch.dr6 */
const struct kvm_samsara_debug_point *samsara_points_watched(unsigned group,
                                                             uint32_t hits);

/* debug.c: a debugger's way through a replay; the VM is stopped */
/* The vCPU that the debugger means: chosen, or the one that has stopped */
CPUState *samsara_debug_cpu(void);
void samsara_debug_choose(CPUState *cpu);
/* The guest goes on until a point, or this vCPU (-1: none) has done a step. */
void samsara_debug_forward(int step);
/* It goes to the last point before this, or to the vCPU's last instruction. */
void samsara_debug_continue_back(void);
void samsara_debug_step_back(CPUState *cpu);
/* It goes to any place of the recording, and pauses; not at once. */
void samsara_debug_seek(const struct smr_seek *where, Error **errp);
/* The guest is at an end of the replay: gdb's word for it, or "". */
const char *samsara_debug_history(void);
void samsara_debug_state_change(bool running);
/* KVM_EXIT_DEBUG.  Returns 0 to go on, or QEMU's EXCP_*. */
int samsara_debug_exit(CPUState *cpu, struct kvm_run *run);

/* export.c: -replay export= */
bool samsara_export_open(struct smr_reader *r, uint64_t limit, Error **errp);
/* All notes up to here, where the guest is; returns where it is to stop next */
uint64_t samsara_export_visit(uint64_t commit, Error **errp);
/* Says what there is now. */
void samsara_export_close(void);

/* record.c: the start of a recording */
/* The settings are those of the command line. */
void samsara_record_init(void);
void samsara_record_start(void);
/*
 * Another one, while the guest is stopped, in @file; each may be NULL or 0: the
 * command line's.  False, and the guest is as it was.
 */
bool samsara_record_again(const char *file, const char *mode,
                          const char *on_error, uint64_t max_size,
                          Error **errp);

#endif /* NEED_CPU_H */

#endif /* ACCEL_KVM_SAMSARA_INT_H */
