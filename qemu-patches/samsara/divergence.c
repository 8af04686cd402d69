/*
 * Record and replay of multiprocessor KVM guests: what is known where a replay
 * has diverged
 *
 * One line says which commit differs and in what; this is what somebody who
 * looks for the reason asks next.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qemu/bitops.h"
#include "qapi/error.h"
#include "cpu.h"
#include "disas/disas.h"
#include "hw/core/cpu.h"
#include "sysemu/hw_accel.h"
#include "samsara.h"
#include "samsara-int.h"

#define PAGE            4096
#define COMMITS         4
/* Pages that are named */
#define PAGES           16
/* Bytes of instructions that are shown */
#define CODE            16
/* samsara dump */
#define COMMITS_BEFORE  20

static void print_places(void)
{
    struct kvm_samsara_place p;
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        if (samsara_device_place(kvm_arch_vcpu_id(cpu), &p) >= 0) {
            g_autofree char *where = samsara_position_text(&p);

            fprintf(stderr, "  vCPU %d is %s\n", cpu->cpu_index, where);
        }
    }
}

static void print_commits(uint64_t commit)
{
    g_autofree char *text = NULL;
    Error *err = NULL;

    text = samsara_commits_text(commit - 1, COMMITS, &err);
    if (text) {
        fprintf(stderr, "  In the recording, before commit %" PRIu64 ":\n%s",
                commit, text);
    } else {
        error_free(err);
    }
}

/* Returns how many, of which the first ones are printed. */
static uint64_t print_block(const SamsaraBlock *b, uint64_t since,
                            uint64_t printed)
{
    uint64_t i, n = 0, npages = b->size / PAGE;
    g_autofree unsigned long *bits = bitmap_new(npages);

    if (samsara_device_changed(since, b->ram, npages, bits) < 0) {
        return 0;
    }
    for (i = find_first_bit(bits, npages); i < npages;
         i = find_next_bit(bits, npages, i + 1)) {
        if (printed + n++ < PAGES) {
            fprintf(stderr, " 0x%" PRIx64, b->ram + i * PAGE);
        }
    }
    return n;
}

/*
 * A digest is of all memory: it is in one of the pages that were written since
 * the last one that was right.
 */
static void print_pages(uint64_t commit)
{
    uint64_t since = samsara_commits_digested(commit), n = 0;
    unsigned i;

    fprintf(stderr, "  Memory was right after commit %" PRIu64
            "; written since, by RAM address:", since);
    for (i = 0; i < samsara_nr_blocks; i++) {
        n += print_block(&samsara_blocks[i], since, n);
    }
    fprintf(stderr, "%s (%" PRIu64 " pages)\n", n > PAGES ? " ..." : "", n);
    if (commit - since > 1) {
        fprintf(stderr, "  A recording with memdigest=1 tells the commit.\n");
    }
}

/* For a shell, however the file is called */
static void print_commands(uint64_t commit)
{
    g_autofree char *name = samsara_text_line(samsara_opts.replay);
    g_autofree char *file = g_shell_quote(name);

    fprintf(stderr, "  To see it again:\n"
            "    samsara dump %s --from %" PRIu64 " --to %" PRIu64 "\n", file,
            commit - MIN(commit - 1, COMMITS_BEFORE), commit);
    if (commit > 1) {
        fprintf(stderr, "    samsara replay --replay stop-at=%" PRIu64
                ",at-end=pause %s -s -monitor stdio\n", commit - 1, file);
    }
}

void samsara_divergence_code(void)
{
    struct kvm_samsara_status st;
    CPUState *cpu = NULL;
    CPUX86State *env;

    if (samsara_device_status(&st) >= 0 && st.div_vcpu >= 0) {
        cpu = qemu_get_cpu(st.div_vcpu);
    }
    if (!cpu) {
        return;
    }
    cpu_synchronize_state(cpu);
    env = &X86_CPU(cpu)->env;
    fprintf(stderr, "  The next instructions of vCPU %d:\n", (int)st.div_vcpu);
    target_disas(stderr, cpu, env->segs[R_CS].base + env->eip, CODE);
}

void samsara_divergence_report(const struct kvm_samsara_status *st)
{
    print_places();
    if (st->div_commit) {
        print_commits(st->div_commit);
    }
    if (st->div_field == KVM_SAMSARA_DIV_MEMORY && st->div_commit) {
        print_pages(st->div_commit);
    }
    print_commands(MAX(st->div_commit, 1));
}
