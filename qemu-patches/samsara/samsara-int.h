/*
 * Record and replay of multiprocessor KVM guests: internal declarations
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#ifndef ACCEL_KVM_SAMSARA_INT_H
#define ACCEL_KVM_SAMSARA_INT_H

#include <linux/kvm_samsara.h>
#include "qemu/units.h"
#include "smr_file.h"

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
} SamsaraMachine;

#define SAMSARA_NR_TUNABLES (KVM_SAMSARA_TUNABLE_LANDING_BREAKPOINT + 1)
#define SAMSARA_UNSET UINT64_MAX

/*
 * The -record options among them, which are properties of the accelerator, too:
 * f(name, KVM_SAMSARA_TUNABLE_*, what it is).
 */
#define SAMSARA_RECORD_TUNABLES(f) \
    f("chunk", CHUNK_LIMIT, \
      "longest chunk in conditional branches; settings that are not " \
      "given are those of /sys/kernel/samsara") \
    f("chunk-min", CHUNK_MIN, \
      "conflicts make chunks no shorter than this") \
    f("chunk-adaptive", CHUNK_ADAPTIVE, \
      "1: each vCPU's chunks have the length that suits it") \
    f("rollbacks", ROLLBACK_LIMIT, \
      "rollbacks in a row before a vCPU stops the others") \
    f("copies", MAX_COPIES, \
      "private pages a vCPU keeps between chunks") \
    f("copy-age", COPY_AGE, \
      "chunks after which an unused one is dropped") \
    f("compare", COMPARE, \
      "1: only pages whose content has changed count as written") \
    f("memdigest", MEMDIGEST_INTERVAL, \
      "commits from one digest of all memory to the next") \
    f("slice", SERIAL_SLICE_US, \
      "mode=serial: microseconds of a vCPU's turn") \
    f("adaptive", ADAPTIVE, \
      "1: serial phases when vCPUs disturb each other")

/* opts.c: what the command line says.  Sizes and counts are 0 if not given. */
typedef struct SamsaraOpts {
    char *record;               /* file names: at most one is set */
    char *replay;
    char *mode;                 /* of the recording; NULL: parallel */
    uint64_t tunable[SAMSARA_NR_TUNABLES];  /* SAMSARA_UNSET: the host's */
    uint64_t ring;
    uint64_t compress;
    uint64_t debug_fault_commit;
    uint64_t stop_at;
    char *cpu;                  /* argument of -cpu, NULL if none */

    /* -replay: the open file */
    struct smr_reader *reader;
    struct smr_extent extent;
    SamsaraMachine machine;
} SamsaraOpts;

extern SamsaraOpts samsara_opts;

#define SAMSARA_RING_DEFAULT    (1 * MiB)
#define SAMSARA_COMPRESS_DEFAULT 1

/* desc.c */
char *samsara_machine_to_text(const SamsaraMachine *m);
bool samsara_machine_from_text(SamsaraMachine *m, const char *text,
                               Error **errp);
bool samsara_check_smp(const SamsaraMachine *m, Error **errp);

#ifdef NEED_CPU_H

#include "hw/boards.h"
#include "sysemu/kvm_int.h"

/* accel.c */
uint32_t samsara_record_mode(void);

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
} SamsaraDevice;

extern SamsaraDevice samsara_device;

bool samsara_device_create(KVMState *s, Error **errp);
bool samsara_device_config(uint32_t mode, uint64_t stop_at, Error **errp);
bool samsara_device_start(Error **errp);
int samsara_device_ctrl(uint64_t command);
int samsara_device_status(struct kvm_samsara_status *st);
int samsara_device_dma(hwaddr gpa, const void *buf, uint32_t len);
/* Waits for the kernel to want attention, at most @ms. */
void samsara_device_wait(int ms);
void samsara_device_kick(void);

/* memory.c: guest memory, as KVM's slots show it */
typedef struct SamsaraSlot {
    hwaddr gpa;
    hwaddr size;
    uint8_t *host;
    bool readonly;
} SamsaraSlot;

extern SamsaraSlot *samsara_slots;
extern unsigned samsara_nr_slots;

bool samsara_memory_collect(Error **errp);
bool samsara_memory_save(struct smr_writer *w, struct smr_err *err);
void samsara_memory_forget(void);
bool samsara_memory_create(Error **errp);
bool samsara_memory_load(Error **errp);

/* state.c: vCPUs */
bool samsara_vcpus_save(struct smr_writer *w, Error **errp);
/* Exits with SAMSARA_EXIT_HOST if the CPU model differs. */
void samsara_vcpus_load(void);

/* refuse.c */
bool samsara_check_machine(MachineState *ms, KVMState *s, Error **errp);
bool samsara_check_devices(Error **errp);
bool samsara_check_memory(Error **errp);
bool samsara_check_vcpus(Error **errp);
void samsara_watch_hotplug(void);

/* console.c */
char *samsara_consoles_to_text(void);
bool samsara_consoles_load(Error **errp);
void samsara_console_out(uint16_t port, unsigned size, unsigned count,
                         const uint8_t *data);

/* record.c */
void samsara_record_start(void);
/* Ends the recording if there is one; @why is told to the user unless NULL. */
void samsara_record_stop(const char *why, ...) G_GNUC_PRINTF(1, 2);

/* replay.c */
void samsara_replay_start(void);
bool samsara_replay_exit(CPUState *cpu, struct kvm_run *run, int *ret);

#endif /* NEED_CPU_H */

#endif /* ACCEL_KVM_SAMSARA_INT_H */
