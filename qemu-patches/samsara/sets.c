/*
 * Record and replay of multiprocessor KVM guests: which pages a commit has read
 * and written
 *
 * The kernel notes them of the chunk after whose commit the replay pauses.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "cpu.h"
#include "hw/core/cpu.h"
#include "samsara.h"
#include "samsara-int.h"

#define FIRST_ROOM 1024

static int by_ram(const void *a, const void *b)
{
    uint64_t p = *(const uint64_t *)a, q = *(const uint64_t *)b;

    return p < q ? -1 : p > q;
}

/* The kernel's list; NULL and -errno in *ret */
static uint64_t *get_list(struct kvm_samsara_sets *sets, int *ret)
{
    g_autofree uint64_t *list = NULL;

    *sets = (struct kvm_samsara_sets) { .nr = FIRST_ROOM };
    do {
        list = g_renew(uint64_t, list, sets->nr);
        sets->uaddr = (uintptr_t)list;
        *ret = samsara_device_sets(sets);
    } while (*ret == -E2BIG);
    return *ret < 0 ? NULL : g_steal_pointer(&list);
}

/* Pages that are there twice become one. */
static GArray *merge(uint64_t *list, unsigned nr)
{
    GArray *pages = g_array_new(false, true, sizeof(SamsaraUsedPage));
    SamsaraUsedPage page = { }, *last = NULL;
    unsigned i;

    qsort(list, nr, sizeof(*list), by_ram);
    for (i = 0; i < nr; i++) {
        page.ram = list[i] & ~(uint64_t)KVM_SAMSARA_SETS_WRITTEN;
        page.written = list[i] & KVM_SAMSARA_SETS_WRITTEN;
        if (last && last->ram == page.ram) {
            last->written |= page.written;
            continue;
        }
        g_array_append_val(pages, page);
        last = &g_array_index(pages, SamsaraUsedPage, pages->len - 1);
    }
    return pages;
}

GArray *samsara_sets_get(uint64_t commit, int *vcpu, Error **errp)
{
    g_autofree uint64_t *list = NULL;
    struct kvm_samsara_sets sets;
    GArray *pages;
    CPUState *cpu;
    int ret;

    list = get_list(&sets, &ret);
    if (ret == -ENODATA || (!ret && sets.commit != commit)) {
        error_setg(errp, "What commit %" PRIu64 " has used is not known: it is "
                   "no chunk's, or the guest was not replayed from before it "
                   "to here; seek to the commit before, and here again",
                   commit);
        return NULL;
    }
    if (ret < 0) {
        error_setg_errno(errp, -ret, "What commit %" PRIu64 " has used is not "
                         "known", commit);
        return NULL;
    }
    pages = merge(list, sets.nr);
    *vcpu = -1;
    CPU_FOREACH(cpu) {
        if (kvm_arch_vcpu_id(cpu) == sets.vcpu) {
            *vcpu = cpu->cpu_index;
            samsara_linear_find(cpu, (SamsaraUsedPage *)pages->data,
                                pages->len);
        }
    }
    return pages;
}
