/*
 * Record and replay of multiprocessor KVM guests: what the rest of QEMU calls
 *
 * Everything here is called from the hooks in qemu-patches; the functions
 * return at once when neither -record nor -replay was given.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#ifndef ACCEL_KVM_SAMSARA_H
#define ACCEL_KVM_SAMSARA_H

#include "qapi/qmp/qdict.h"

/* -record, -replay: parse one option; exit on error and after "help" */
void samsara_parse_record(const char *optarg);
void samsara_parse_replay(const char *optarg);

/* An option on the command line, without its dash; @name NULL: a disk image */
void samsara_note_option(const char *name, const char *arg);

/*
 * Turn the options into accelerator properties and, for -replay, machine
 * options and CPU model read from the recording.  Exits on error.
 */
void samsara_configure(QDict *machine_opts, const char **cpu_option);

/* Why a monitor command can't be given now, or NULL. */
const char *samsara_command_refusal(const char *name);

/* -record: device models get no pointers through which to write to memory. */
extern bool samsara_recordable;
/* A recording is being made: writes to guest memory must be logged. */
extern bool samsara_recording;
/* The guest's state belongs to the recording or to the replay. */
extern bool samsara_running;
/* It does, or will once the guest starts: nobody else may change the guest. */
extern bool samsara_frozen;
/* -record or -replay was given. */
extern bool samsara_device_used;

/* samsara_dma_write(), for files that are compiled once for all targets */
extern bool (*samsara_write)(void *host, const void *buf, size_t len);

/*
 * A device model writes to memory of its own that the guest may see, as a
 * graphics card does.
 */
static inline void samsara_device_write(void *host, const void *buf, size_t len)
{
    if (likely(!samsara_recordable) || !samsara_write(host, buf, len)) {
        memcpy(host, buf, len);
    }
}

/* memset() of such memory */
void samsara_device_set(void *host, int c, size_t len);

/*
 * A packet is about to be delivered, and was.  The one that answers it may be
 * delivered in between.
 */
typedef struct SamsaraPacketStart {
    uint64_t commit;
    uint64_t us;
} SamsaraPacketStart;

extern void (*samsara_packet_starts)(SamsaraPacketStart *start);
extern void (*samsara_packet_delivered)(const SamsaraPacketStart *start,
                                        NetClientState *from,
                                        NetClientState *to,
                                        const struct iovec *iov, int iovcnt,
                                        bool has_header);

static inline void samsara_packet_start(SamsaraPacketStart *start)
{
    if (unlikely(samsara_packet_starts)) {
        samsara_packet_starts(start);
    }
}

static inline void samsara_packet_end(const SamsaraPacketStart *start,
                                      NetClientState *from, NetClientState *to,
                                      const struct iovec *iov, int iovcnt,
                                      bool has_header)
{
    if (unlikely(samsara_packet_delivered)) {
        samsara_packet_delivered(start, from, to, iov, iovcnt, has_header);
    }
}

/* A console that is no serial port has shown this. */
extern void (*samsara_text_written)(void *port, const void *text, size_t len);

static inline void samsara_text(void *port, const void *text, size_t len)
{
    if (unlikely(samsara_text_written)) {
        samsara_text_written(port, text, len);
    }
}

/*
 * The guest has written to a register of a VGA card, by its port or otherwise;
 * or read from it, or the card was reset, if @port says so.
 */
#define SAMSARA_REGISTER_READ   0x10000u
#define SAMSARA_REGISTER_RESET  0xffffffffu

typedef void SamsaraRegister(void *card, uint32_t port, uint32_t value);
extern SamsaraRegister *samsara_register_written;

static inline void samsara_register(void *card, uint32_t port, uint32_t value)
{
    if (unlikely(samsara_register_written)) {
        samsara_register_written(card, port, value);
    }
}

/* The machine was reset: all handlers have been called, and vCPUs are set. */
extern void (*samsara_after_reset)(void);

static inline void samsara_reset_end(void)
{
    if (unlikely(samsara_after_reset)) {
        samsara_after_reset();
    }
}

/* The VM is about to stop, and goes on afterwards: its vCPUs still run. */
extern void (*samsara_before_stop)(void);

static inline void samsara_stop_begin(void)
{
    if (unlikely(samsara_before_stop)) {
        samsara_before_stop();
    }
}

#ifdef NEED_CPU_H

#include "exec/memory.h"
#include "hw/core/cpu.h"

#if defined(CONFIG_KVM) && defined(TARGET_I386)

struct KVMState;
struct kvm_cpuid_entry2;
struct kvm_run;

void samsara_accel_class_init(ObjectClass *oc);

/* The monitor's commands */
void hmp_info_samsara(Monitor *mon, const QDict *qdict);
void hmp_samsara_record_start(Monitor *mon, const QDict *qdict);
void hmp_samsara_record_stop(Monitor *mon, const QDict *qdict);
void hmp_samsara_seek(Monitor *mon, const QDict *qdict);
void hmp_samsara_when(Monitor *mon, const QDict *qdict);
void hmp_samsara_checkpoint(Monitor *mon, const QDict *qdict);
void hmp_samsara_commits(Monitor *mon, const QDict *qdict);
void hmp_samsara_pages(Monitor *mon, const QDict *qdict);

/* After KVM_CREATE_VM, before anything else.  Exits on error. */
void samsara_kvm_init(struct KVMState *s, MachineState *ms);

/* Hide what cannot be replayed from the guest. */
bool samsara_cpu_realize(CPUState *cs, Error **errp);

bool samsara_do_dma_write(void *host, const void *buf, hwaddr len);
bool samsara_do_store(MemoryRegion *mr, hwaddr offset, uint64_t val,
                      unsigned size, enum device_endian endian);
void *samsara_do_map(void *host, hwaddr len);
void *samsara_do_unmap(void *ptr, hwaddr len, hwaddr *access_len);
void samsara_do_check_write(MemoryRegion *mr, hwaddr offset, hwaddr len);
void samsara_do_memory_change(void);
bool samsara_do_put_registers(int level);
void samsara_do_cpuid(CPUState *cpu, struct kvm_cpuid_entry2 *entry);
void samsara_do_log_sync(const MemoryRegionSection *section);
bool samsara_do_exit(CPUState *cpu, struct kvm_run *run, int *ret);
bool samsara_do_gdb(const char *packet, const char **reply);
const char *samsara_do_gdb_stop(void);
bool samsara_do_gdb_command(void);
bool samsara_do_gdb_command_done(void);

/*
 * Write to guest memory on behalf of a device model, as a commit of its own.
 * Returns false if the caller has to do it: nothing is being recorded.
 */
static inline bool samsara_dma_write(void *host, const void *buf, hwaddr len)
{
    return unlikely(samsara_recordable) &&
           samsara_do_dma_write(host, buf, len);
}

/* The same for a number of @size bytes. */
static inline bool samsara_store(MemoryRegion *mr, hwaddr offset, uint64_t val,
                                 unsigned size, enum device_endian endian)
{
    return unlikely(samsara_recordable) &&
           samsara_do_store(mr, offset, val, size, endian);
}

/* The pointer through which a device model may write to @len bytes at @host. */
static inline void *samsara_map(void *host, hwaddr len, bool is_write)
{
    return is_write && unlikely(samsara_recordable)
           ? samsara_do_map(host, len) : host;
}

/*
 * A device model gives such a pointer back; it has written *@access_len bytes.
 * Returns where they are in guest memory; *@access_len is 0 if they have been
 * written by samsara_dma_write().  Other pointers come back as they are.
 */
static inline void *samsara_unmap(void *ptr, hwaddr len, bool is_write,
                                  hwaddr *access_len)
{
    return is_write && unlikely(samsara_recordable)
           ? samsara_do_unmap(ptr, len, access_len) : ptr;
}

/* Accesses to cached address spaces go by the functions that are hooked. */
static inline void *samsara_cache_ptr(void *ptr)
{
    return unlikely(samsara_recordable) ? NULL : ptr;
}

/* Guest memory was written to by any other means. */
static inline void samsara_check_write(MemoryRegion *mr, hwaddr offset,
                                       hwaddr len)
{
    if (unlikely(qatomic_read(&samsara_recording))) {
        samsara_do_check_write(mr, offset, len);
    }
}

/* KVM's memory slots are about to change. */
static inline void samsara_memory_change(void)
{
    if (unlikely(qatomic_read(&samsara_running))) {
        samsara_do_memory_change();
    }
}

/*
 * Which pages of it has the guest written to?  KVM does not say, if it can be
 * recorded.
 */
static inline void samsara_log_sync(const MemoryRegionSection *section)
{
    if (unlikely(samsara_recordable)) {
        samsara_do_log_sync(section);
    }
}

/* Returns true if a vCPU's registers must not be written to. */
static inline bool samsara_put_registers(int level)
{
    return unlikely(qatomic_read(&samsara_running)) &&
           samsara_do_put_registers(level);
}

/* A leaf of CPUID, as QEMU knows it, that the vCPU is about to get. */
static inline void samsara_cpuid(CPUState *cpu, struct kvm_cpuid_entry2 *entry)
{
    if (unlikely(samsara_device_used)) {
        samsara_do_cpuid(cpu, entry);
    }
}

/* Handles an exit from KVM_RUN; returns true if it did. */
static inline bool samsara_exit(CPUState *cpu, struct kvm_run *run, int *ret)
{
    return unlikely(samsara_device_used) && samsara_do_exit(cpu, run, ret);
}

/*
 * A debugger's request.  Returns true if QEMU has nothing to do with it; then
 * *reply is the answer, or NULL: it comes when the guest stops.
 */
static inline bool samsara_gdb(const char *packet, const char **reply)
{
    return unlikely(qatomic_read(&samsara_frozen)) &&
           samsara_do_gdb(packet, reply);
}

/*
 * The guest has stopped.  What to add to what the debugger is told; NULL: it
 * is not told, since it has not asked.
 */
static inline const char *samsara_gdb_stop(void)
{
    return unlikely(qatomic_read(&samsara_frozen)) ? samsara_do_gdb_stop()
                                                   : "";
}

/* A command of the monitor was done.  True: it goes on until a stop. */
static inline bool samsara_gdb_command(void)
{
    return unlikely(qatomic_read(&samsara_frozen)) && samsara_do_gdb_command();
}

/* The guest has stopped.  True: such a command was waiting for that. */
static inline bool samsara_gdb_command_done(void)
{
    return unlikely(qatomic_read(&samsara_frozen)) &&
           samsara_do_gdb_command_done();
}

/* A replay can go back. */
bool samsara_gdb_reverses(void);

#else

static inline bool samsara_dma_write(void *host, const void *buf, hwaddr len)
{
    return false;
}

static inline void samsara_check_write(MemoryRegion *mr, hwaddr offset,
                                       hwaddr len)
{
}

static inline bool samsara_store(MemoryRegion *mr, hwaddr offset, uint64_t val,
                                 unsigned size, enum device_endian endian)
{
    return false;
}

static inline void *samsara_map(void *host, hwaddr len, bool is_write)
{
    return host;
}

static inline void *samsara_unmap(void *ptr, hwaddr len, bool is_write,
                                  hwaddr *access_len)
{
    return ptr;
}

static inline void *samsara_cache_ptr(void *ptr)
{
    return ptr;
}

static inline bool samsara_gdb(const char *packet, const char **reply)
{
    return false;
}

static inline const char *samsara_gdb_stop(void)
{
    return "";
}

static inline bool samsara_gdb_command(void)
{
    return false;
}

static inline bool samsara_gdb_command_done(void)
{
    return false;
}

static inline bool samsara_gdb_reverses(void)
{
    return false;
}

#endif
#endif /* NEED_CPU_H */

#endif /* ACCEL_KVM_SAMSARA_H */
