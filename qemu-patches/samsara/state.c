/*
 * Record and replay of multiprocessor KVM guests: state of the vCPUs
 *
 * Saved and restored as KVM's own structures, around QEMU's idea of a CPU:
 * what KVM gives is what KVM gets.  One blob per structure, "vcpuN/regs" and
 * so on; the layout is that of linux/kvm.h on x86.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include <sys/ioctl.h>
#include <linux/kvm.h>
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "cpu.h"
#include "hw/core/cpu.h"
#include "standard-headers/asm-x86/kvm_para.h"
#include "sysemu/hw_accel.h"
#include "samsara.h"
#include "samsara-int.h"

#define MAX_CPUID_ENTRIES 256
#define MAX_MSRS 1024

typedef struct {
    struct kvm_msrs h;
    struct kvm_msr_entry entry;
} OneMsr;

/* In the order they are restored. */
static const struct {
    const char *name;
    int get, set;
    size_t size;
} pieces[] = {
    { "sregs", KVM_GET_SREGS, KVM_SET_SREGS, sizeof(struct kvm_sregs) },
    { "regs", KVM_GET_REGS, KVM_SET_REGS, sizeof(struct kvm_regs) },
    { "xcrs", KVM_GET_XCRS, KVM_SET_XCRS, sizeof(struct kvm_xcrs) },
    { "xsave", KVM_GET_XSAVE, KVM_SET_XSAVE, sizeof(struct kvm_xsave) },
    { "lapic", KVM_GET_LAPIC, KVM_SET_LAPIC, sizeof(struct kvm_lapic_state) },
    { "events", KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
      sizeof(struct kvm_vcpu_events) },
    { "debugregs", KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS,
      sizeof(struct kvm_debugregs) },
    { "mpstate", KVM_GET_MP_STATE, KVM_SET_MP_STATE,
      sizeof(struct kvm_mp_state) },
};

/* MSRs with state that KVM_GET_MSR_INDEX_LIST leaves out */
static const uint32_t more_msrs[] = {
    MSR_MTRRcap, MSR_MTRRdefType,
    MSR_MTRRfix64K_00000, MSR_MTRRfix16K_80000, MSR_MTRRfix16K_A0000,
    MSR_MTRRfix4K_C0000, MSR_MTRRfix4K_C8000, MSR_MTRRfix4K_D0000,
    MSR_MTRRfix4K_D8000, MSR_MTRRfix4K_E0000, MSR_MTRRfix4K_E8000,
    MSR_MTRRfix4K_F0000, MSR_MTRRfix4K_F8000,
    MSR_PAT, MSR_MCG_STATUS, MSR_IA32_UCODE_REV,
};

/* What writing back would change, or what a recorded guest doesn't have. */
static bool skip_msr(uint32_t index)
{
    return index == MSR_IA32_TSC ||
           index == MSR_IA32_SMBASE || index == MSR_SMI_COUNT ||
           index == MSR_KVM_SYSTEM_TIME || index == MSR_KVM_WALL_CLOCK ||
           (index >= 0x4b564d00 && index <= 0x4b564dff) ||      /* KVM */
           (index >= 0x40000000 && index <= 0x400001ff) ||      /* Hyper-V */
           (index >= MSR_IA32_VMX_BASIC && index <= MSR_IA32_VMX_VMFUNC);
}

typedef struct {
    struct smr_writer *writer;
    Error *err;
} SaveState;

static bool put_blob(CPUState *cpu, SaveState *ss, const char *name,
                     const void *data, size_t len)
{
    g_autofree char *full = g_strdup_printf("vcpu%lu/%s",
                                            kvm_arch_vcpu_id(cpu), name);
    struct smr_err err = { };

    if (smr_writer_blob(ss->writer, full, data, len, &err) < 0) {
        error_setg(&ss->err, "%s", smr_file_errstr(&err));
        return false;
    }
    return true;
}

static void state_error(CPUState *cpu, Error **errp, const char *verb,
                        const char *name, int ret)
{
    error_setg_errno(errp, -ret, "samsara: can't %s %s of vCPU %lu", verb,
                     name, kvm_arch_vcpu_id(cpu));
}

/* Number of entries in a blob that is a list. */
static uint32_t list_length(const char *name, size_t len, size_t entry,
                            uint32_t max)
{
    if (len % entry || len / entry > max) {
        error_report("%s: %s of a vCPU has the wrong size",
                     samsara_opts.replay, name);
        exit(SAMSARA_EXIT_FILE);
    }
    return len / entry;
}

/* CPUID */

static struct kvm_cpuid2 *get_cpuid(CPUState *cpu, Error **errp)
{
    struct kvm_cpuid2 *c = g_malloc0(sizeof(*c) + MAX_CPUID_ENTRIES *
                                     sizeof(c->entries[0]));
    int ret;

    c->nent = MAX_CPUID_ENTRIES;
    ret = kvm_vcpu_ioctl(cpu, KVM_GET_CPUID2, c);
    if (ret < 0) {
        state_error(cpu, errp, "get", "CPUID", ret);
        g_clear_pointer(&c, g_free);
        return NULL;
    }
    /* Linux 6.1 leaves nent as it was: the rest is still zero */
    while (c->nent && buffer_is_zero(&c->entries[c->nent - 1],
                                     sizeof(c->entries[0]))) {
        c->nent--;
    }
    return c;
}

static bool save_cpuid(CPUState *cpu, SaveState *ss)
{
    g_autofree struct kvm_cpuid2 *c = get_cpuid(cpu, &ss->err);

    return c && put_blob(cpu, ss, "cpuid", c->entries,
                         c->nent * sizeof(c->entries[0]));
}

static const struct kvm_cpuid_entry2 *
find_entry(const struct kvm_cpuid_entry2 *e, uint32_t n,
           const struct kvm_cpuid_entry2 *like)
{
    uint32_t i;

    for (i = 0; i < n; i++) {
        if (e[i].function == like->function && e[i].index == like->index) {
            return &e[i];
        }
    }
    return NULL;
}

/* Bits that follow from the vCPU's state */
static uint32_t volatile_bits(const struct kvm_cpuid_entry2 *e, int reg)
{
    if (e->function == 1 && reg == R_ECX) {
        return CPUID_EXT_OSXSAVE;
    }
    if (e->function == 7 && e->index == 0 && reg == R_ECX) {
        return CPUID_7_0_ECX_OSPKE;
    }
    if (e->function == 0xd && e->index <= 1 && reg == R_EBX) {
        return ~0u;
    }
    return 0;
}

static void check_leaf(const struct kvm_cpuid_entry2 *rec,
                       const struct kvm_cpuid_entry2 *here)
{
    static const struct kvm_cpuid_entry2 none;
    static const char * const names[] = { "eax", "ebx", "ecx", "edx" };
    static const int regs[] = { R_EAX, R_EBX, R_ECX, R_EDX };
    const struct kvm_cpuid_entry2 *any = rec ?: here;
    const uint32_t *r, *h;
    int i;

    rec = rec ?: &none;
    here = here ?: &none;
    r = &rec->eax;
    h = &here->eax;
    for (i = 0; i < 4; i++) {
        if ((r[i] ^ h[i]) & ~volatile_bits(any, regs[i])) {
            error_report("the recording was made on another CPU model: CPUID "
                         "leaf 0x%x.%u %s differs (recorded 0x%08x, here "
                         "0x%08x)", any->function, any->index, names[i],
                         r[i], h[i]);
            exit(SAMSARA_EXIT_HOST);
        }
    }
}

static void check_cpuid(CPUState *cpu, const void *blob, size_t len)
{
    const struct kvm_cpuid_entry2 *rec = blob;
    g_autofree struct kvm_cpuid2 *here = get_cpuid(cpu, &error_fatal);
    uint32_t n = list_length("cpuid", len, sizeof(*rec), MAX_CPUID_ENTRIES);
    uint32_t i;

    for (i = 0; i < n; i++) {
        check_leaf(&rec[i], find_entry(here->entries, here->nent, &rec[i]));
    }
    for (i = 0; i < here->nent; i++) {
        check_leaf(find_entry(rec, n, &here->entries[i]), &here->entries[i]);
    }
}

/* MSRs */

static bool get_msr(CPUState *cpu, uint32_t index, struct kvm_msr_entry *e)
{
    OneMsr m = { .h.nmsrs = 1, .entry.index = index };

    if (kvm_vcpu_ioctl(cpu, KVM_GET_MSRS, &m) != 1) {
        return false;
    }
    *e = m.entry;
    return true;
}

static bool set_msr(CPUState *cpu, const struct kvm_msr_entry *e)
{
    OneMsr m = { .h.nmsrs = 1, .entry = *e };

    return kvm_vcpu_ioctl(cpu, KVM_SET_MSRS, &m) == 1;
}

static void add_msr(CPUState *cpu, GArray *msrs, uint32_t index)
{
    struct kvm_msr_entry e;
    unsigned i;

    for (i = 0; i < msrs->len; i++) {
        if (g_array_index(msrs, struct kvm_msr_entry, i).index == index) {
            return;
        }
    }
    /*
     * only what can be put back; nothing can while a guest is replayed, but
     * then the others never change
     */
    if (!skip_msr(index) && get_msr(cpu, index, &e) &&
        (samsara_opts.replay || set_msr(cpu, &e))) {
        g_array_append_val(msrs, e);
    }
}

/* Of struct kvm_msr_entry; NULL and an error */
static GArray *get_msrs(CPUState *cpu, Error **errp)
{
    g_autofree struct kvm_msr_list *list =
        g_malloc0(sizeof(*list) + MAX_MSRS * sizeof(list->indices[0]));
    GArray *msrs;
    unsigned i;
    int ret;

    list->nmsrs = MAX_MSRS;
    ret = kvm_ioctl(kvm_state, KVM_GET_MSR_INDEX_LIST, list);
    if (ret < 0) {
        state_error(cpu, errp, "list", "MSRs", ret);
        return NULL;
    }
    msrs = g_array_new(false, false, sizeof(struct kvm_msr_entry));
    for (i = 0; i < list->nmsrs; i++) {
        add_msr(cpu, msrs, list->indices[i]);
    }
    for (i = 0; i < ARRAY_SIZE(more_msrs); i++) {
        add_msr(cpu, msrs, more_msrs[i]);
    }
    for (i = 0; i < 8; i++) {
        add_msr(cpu, msrs, MSR_MTRRphysBase(i));
        add_msr(cpu, msrs, MSR_MTRRphysMask(i));
    }
    return msrs;
}

static bool save_msrs(CPUState *cpu, SaveState *ss)
{
    g_autoptr(GArray) msrs = get_msrs(cpu, &ss->err);

    return msrs && put_blob(cpu, ss, "msrs", msrs->data,
                            msrs->len * sizeof(struct kvm_msr_entry));
}

static bool set_msrs(CPUState *cpu, const struct kvm_msr_entry *e, uint32_t n,
                     Error **errp)
{
    uint32_t i;

    for (i = 0; i < n; i++) {
        struct kvm_msr_entry old;

        /* what is right already may be read-only here */
        if (get_msr(cpu, e[i].index, &old) && old.data == e[i].data) {
            continue;
        }
        if (!skip_msr(e[i].index) && !set_msr(cpu, &e[i])) {
            error_setg(errp, "the recording was made on another CPU model or "
                       "kernel: MSR 0x%x can't be set to 0x%" PRIx64,
                       e[i].index, (uint64_t)e[i].data);
            return false;
        }
    }
    return true;
}

/* All of it */

static bool get_piece(CPUState *cpu, int i, void *buf, Error **errp)
{
    int ret;

    memset(buf, 0, pieces[i].size);
    ret = kvm_vcpu_ioctl(cpu, pieces[i].get, buf);
    if (ret < 0) {
        state_error(cpu, errp, "get", pieces[i].name, ret);
        return false;
    }
    return true;
}

static bool set_piece(CPUState *cpu, int i, void *data, Error **errp)
{
    int ret;

    if (pieces[i].set == KVM_SET_MP_STATE) {
        /* start-up IPIs come from the log */
        ((struct kvm_mp_state *)data)->mp_state = KVM_MP_STATE_RUNNABLE;
    }
    ret = kvm_vcpu_ioctl(cpu, pieces[i].set, data);
    if (ret < 0) {
        state_error(cpu, errp, "set", pieces[i].name, ret);
        return false;
    }
    return true;
}

static size_t largest_piece(void)
{
    size_t size = 0;
    int i;

    for (i = 0; i < ARRAY_SIZE(pieces); i++) {
        size = MAX(size, pieces[i].size);
    }
    return size;
}

static void save_vcpu(CPUState *cpu, run_on_cpu_data data)
{
    SaveState *ss = data.host_ptr;
    g_autofree void *buf = g_malloc(largest_piece());
    int i;

    if (ss->err) {
        return;
    }
    if (cpu->vcpu_dirty) {
        /* somebody looked at the registers before the first start */
        kvm_arch_put_registers(cpu, KVM_PUT_RUNTIME_STATE);
        cpu->vcpu_dirty = false;
    }
    if (!save_cpuid(cpu, ss) || !save_msrs(cpu, ss)) {
        return;
    }
    for (i = 0; i < ARRAY_SIZE(pieces); i++) {
        if (!get_piece(cpu, i, buf, &ss->err)) {
            return;
        }
        if (!put_blob(cpu, ss, pieces[i].name, buf, pieces[i].size)) {
            return;
        }
    }
}

bool samsara_vcpus_save(struct smr_writer *w, Error **errp)
{
    SaveState ss = { .writer = w };
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        run_on_cpu(cpu, save_vcpu, RUN_ON_CPU_HOST_PTR(&ss));
    }
    if (ss.err) {
        error_propagate(errp, ss.err);
        return false;
    }
    return true;
}

/* @size 0: any */
static void *get_blob(CPUState *cpu, const char *name, size_t size,
                      size_t *len)
{
    g_autofree char *full = g_strdup_printf("vcpu%lu/%s",
                                            kvm_arch_vcpu_id(cpu), name);
    struct smr_err err = { };
    void *data;

    if (smr_reader_blob(samsara_opts.reader, full, &data, len, &err) < 0) {
        error_report("%s", smr_file_errstr(&err));
        exit(SAMSARA_EXIT_FILE);
    }
    if (size && *len != size) {
        error_report("%s: %s has the wrong size", samsara_opts.replay, full);
        exit(SAMSARA_EXIT_FILE);
    }
    return data;
}

static void load_piece(CPUState *cpu, int i)
{
    size_t len;
    void *data = get_blob(cpu, pieces[i].name, pieces[i].size, &len);
    Error *err = NULL;

    if (!set_piece(cpu, i, data, &err)) {
        /* the CPU model is the recording's: check_cpuid() */
        error_report_err(err);
        exit(SAMSARA_EXIT_FILE);
    }
    free(data);
}

static void load_vcpu(CPUState *cpu, run_on_cpu_data unused)
{
    Error *err = NULL;
    uint32_t n;
    size_t len;
    void *blob;
    int i;

    blob = get_blob(cpu, "cpuid", 0, &len);
    check_cpuid(cpu, blob, len);
    free(blob);
    for (i = 0; i < ARRAY_SIZE(pieces); i++) {
        load_piece(cpu, i);
    }
    blob = get_blob(cpu, "msrs", 0, &len);
    n = list_length("msrs", len, sizeof(struct kvm_msr_entry), MAX_MSRS);
    if (!set_msrs(cpu, blob, n, &err)) {
        error_report_err(err);
        exit(SAMSARA_EXIT_HOST);
    }
    free(blob);
    cpu->vcpu_dirty = false;
}

void samsara_vcpus_load(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        run_on_cpu(cpu, load_vcpu, RUN_ON_CPU_NULL);
    }
}

/* The state after a reset: the pieces and MSRs, one after the other */

typedef struct {
    GByteArray *bytes;
    Error *err;
} GetState;

static void append_state(CPUState *cpu, run_on_cpu_data data)
{
    GetState *gs = data.host_ptr;
    g_autofree void *buf = g_malloc(largest_piece());
    g_autoptr(GArray) msrs = NULL;
    int i;

    for (i = 0; i < ARRAY_SIZE(pieces); i++) {
        if (!get_piece(cpu, i, buf, &gs->err)) {
            return;
        }
        g_byte_array_append(gs->bytes, buf, pieces[i].size);
    }
    msrs = get_msrs(cpu, &gs->err);
    if (msrs) {
        g_byte_array_append(gs->bytes, (uint8_t *)msrs->data,
                            msrs->len * sizeof(struct kvm_msr_entry));
    }
}

GByteArray *samsara_vcpu_get_state(CPUState *cpu, Error **errp)
{
    GetState gs = { .bytes = g_byte_array_new() };

    run_on_cpu(cpu, append_state, RUN_ON_CPU_HOST_PTR(&gs));
    if (gs.err) {
        error_propagate(errp, gs.err);
        g_byte_array_unref(gs.bytes);
        return NULL;
    }
    return gs.bytes;
}

int samsara_vcpu_set_state(CPUState *cpu, const void *state, size_t len,
                           Error **errp)
{
    g_autofree uint8_t *copy = g_memdup2(state, len);
    g_autofree struct kvm_msr_entry *msrs = NULL;
    size_t offset = 0;
    int i;

    for (i = 0; i < ARRAY_SIZE(pieces); offset += pieces[i++].size) {
        if (len - offset < pieces[i].size) {
            error_setg(errp, "the state of vCPU %lu at a reset is cut short",
                       kvm_arch_vcpu_id(cpu));
            return SAMSARA_EXIT_FILE;
        }
        if (!set_piece(cpu, i, copy + offset, errp)) {
            return SAMSARA_EXIT_FILE;
        }
    }
    if ((len - offset) % sizeof(struct kvm_msr_entry)) {
        error_setg(errp, "MSRs of vCPU %lu at a reset have the wrong size",
                   kvm_arch_vcpu_id(cpu));
        return SAMSARA_EXIT_FILE;
    }
    msrs = g_memdup2(copy + offset, len - offset);
    return set_msrs(cpu, msrs, (len - offset) / sizeof(*msrs), errp)
           ? 0 : SAMSARA_EXIT_HOST;
}
