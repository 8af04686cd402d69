/*
 * Record and replay of multiprocessor KVM guests: the kernel's device
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <linux/kvm.h>
#include "qapi/error.h"
#include "qemu/guest-random.h"
#include "cpu.h"
#include "hw/boards.h"
#include "samsara.h"
#include "samsara-int.h"

#define RING_HEADER_BYTES 4096

SamsaraDevice samsara_device = { .fd = -1, .eventfd = -1 };

static void kernel_error(Error **errp, int ret, const char *what)
{
    ERRP_GUARD();

    error_setg_errno(errp, -ret, "samsara: the kernel refuses to %s", what);
    error_append_hint(errp, "See dmesg for the reason.\n");
}

bool samsara_device_create(KVMState *s, Error **errp)
{
    struct kvm_create_device cd = { .type = KVM_DEV_TYPE_SAMSARA_ID };
    int ret = kvm_vm_ioctl(s, KVM_CREATE_DEVICE, &cd);

    if (ret == -ENODEV || ret == -EINVAL || ret == -ENOTTY) {
        error_setg(errp, "this kvm-intel module has no samsara support: "
                   "load the patched modules (see README)");
        return false;
    }
    if (ret < 0) {
        kernel_error(errp, ret, "record or replay here");
        return false;
    }
    samsara_device.fd = cd.fd;
    return true;
}

static int device_attr(int ioctl_nr, uint32_t group, uint64_t attr, void *addr)
{
    struct kvm_device_attr da = {
        .group = group,
        .attr = attr,
        .addr = (uintptr_t)addr,
    };

    return kvm_device_ioctl(samsara_device.fd, ioctl_nr, &da);
}

/* Signals are for vCPU threads to leave KVM_RUN, and mean nothing here. */
static int set_attr(uint32_t group, uint64_t attr, void *addr)
{
    int ret;

    do {
        ret = device_attr(KVM_SET_DEVICE_ATTR, group, attr, addr);
    } while (ret == -EINTR);
    return ret;
}

int samsara_device_ctrl(uint64_t command)
{
    return set_attr(KVM_SAMSARA_GRP_CTRL, command, NULL);
}

int samsara_device_map(uint64_t what)
{
    return set_attr(KVM_SAMSARA_GRP_MAP, what, NULL);
}

int samsara_device_set_state(unsigned long vcpu, const void *buf, uint32_t len)
{
    struct kvm_samsara_vcpu_state state = {
        .uaddr = (uintptr_t)buf,
        .len = len,
    };

    return set_attr(KVM_SAMSARA_GRP_STATE, vcpu, &state);
}

int samsara_device_get_state(unsigned long vcpu, void *buf, uint32_t len)
{
    struct kvm_samsara_vcpu_state state = {
        .uaddr = (uintptr_t)buf,
        .len = len,
    };
    int ret = device_attr(KVM_GET_DEVICE_ATTR, KVM_SAMSARA_GRP_STATE, vcpu,
                          &state);

    return ret < 0 ? ret : state.len;
}

int samsara_device_pause(uint64_t commit)
{
    return set_attr(KVM_SAMSARA_GRP_PAUSE, 0, &commit);
}

int samsara_device_changed(uint64_t since, uint64_t ram, uint64_t npages,
                           unsigned long *bits)
{
    struct kvm_samsara_changed changed = {
        .since = since,
        .ram = ram,
        .npages = npages,
        .uaddr = (uintptr_t)bits,
    };

    return device_attr(KVM_GET_DEVICE_ATTR, KVM_SAMSARA_GRP_CHANGED, 0,
                       &changed);
}

int samsara_device_sets(struct kvm_samsara_sets *sets)
{
    return device_attr(KVM_GET_DEVICE_ATTR, KVM_SAMSARA_GRP_SETS, 0, sets);
}

int samsara_device_get_progress(unsigned stream,
                                struct kvm_samsara_progress *progress)
{
    return device_attr(KVM_GET_DEVICE_ATTR, KVM_SAMSARA_GRP_PROGRESS, stream,
                       progress);
}

int samsara_device_set_progress(unsigned stream,
                                struct kvm_samsara_progress *progress)
{
    return set_attr(KVM_SAMSARA_GRP_PROGRESS, stream, progress);
}

int samsara_device_get_slots(struct kvm_samsara_slots *slots)
{
    return device_attr(KVM_GET_DEVICE_ATTR, KVM_SAMSARA_GRP_SLOTS, 0, slots);
}

int samsara_device_set_slots(struct kvm_samsara_slots *slots)
{
    return set_attr(KVM_SAMSARA_GRP_SLOTS, 0, slots);
}

int samsara_device_debug(struct kvm_samsara_debug *debug)
{
    return set_attr(KVM_SAMSARA_GRP_DEBUG, 0, debug);
}

int samsara_device_place(unsigned long vcpu, struct kvm_samsara_place *place)
{
    memset(place, 0, sizeof(*place));
    return device_attr(KVM_GET_DEVICE_ATTR, KVM_SAMSARA_GRP_PLACE, vcpu, place);
}

int samsara_device_hot(unsigned long vcpu, struct kvm_samsara_hot_spot *spots,
                       uint32_t *nr)
{
    struct kvm_samsara_hot hot = {
        .uaddr = (uintptr_t)spots,
        .nr = *nr,
    };
    int ret = device_attr(KVM_GET_DEVICE_ATTR, KVM_SAMSARA_GRP_HOT, vcpu, &hot);

    *nr = ret < 0 ? 0 : hot.nr;
    return ret;
}

int samsara_device_status(struct kvm_samsara_status *st)
{
    memset(st, 0, sizeof(*st));
    return device_attr(KVM_GET_DEVICE_ATTR, KVM_SAMSARA_GRP_STATUS, 0, st);
}

int samsara_device_dma(uint64_t ram, const void *buf, uint32_t len)
{
    struct kvm_samsara_dma dma = {
        .ram = ram,
        .uaddr = (uintptr_t)buf,
        .len = len,
    };

    return set_attr(KVM_SAMSARA_GRP_DMA, 0, &dma);
}

bool samsara_device_ram(const SamsaraBlock *blocks, unsigned n, Error **errp)
{
    g_autofree struct kvm_samsara_ram *ram =
        g_malloc0(sizeof(*ram) + n * sizeof(ram->block[0]));
    unsigned i;
    int ret;

    ram->nr = n;
    for (i = 0; i < n; i++) {
        ram->block[i] = (struct kvm_samsara_ram_block) {
            .ram = blocks[i].ram,
            .size = blocks[i].size,
            .uaddr = (uintptr_t)blocks[i].host,
        };
    }
    ret = device_attr(KVM_SET_DEVICE_ATTR, KVM_SAMSARA_GRP_RAM, 0, ram);
    if (ret < 0) {
        kernel_error(errp, ret, "use this guest's memory");
        return false;
    }
    return true;
}

static bool map_ring(SamsaraRing *ring, unsigned i, uint32_t bytes,
                     Error **errp)
{
    size_t len = RING_HEADER_BYTES + (size_t)bytes;
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
                   samsara_device.fd, i * len);

    if (p == MAP_FAILED) {
        kernel_error(errp, -errno, "map a log ring");
        return false;
    }
    ring->hdr = p;
    ring->data = (uint8_t *)p + RING_HEADER_BYTES;
    ring->size = bytes;
    return true;
}

const struct kvm_samsara_order *samsara_device_order(Error **errp)
{
    size_t ring = RING_HEADER_BYTES + (size_t)samsara_device.rings[0].size;
    size_t len = sizeof(struct kvm_samsara_order) + samsara_device.nr_rings *
                 sizeof(struct kvm_samsara_order_agent);
    void *p;

    len = ROUND_UP(len, RING_HEADER_BYTES);
    p = mmap(NULL, len, PROT_READ, MAP_SHARED, samsara_device.fd,
             samsara_device.nr_rings * ring);
    if (p == MAP_FAILED) {
        kernel_error(errp, -errno, "map the order of commits");
        return NULL;
    }
    samsara_device.order = p;
    samsara_device.order_len = len;
    return p;
}

uint64_t samsara_device_committed(void)
{
    const struct kvm_samsara_order *order;

    RCU_READ_LOCK_GUARD();
    order = qatomic_rcu_read(&samsara_device.order);
    return order ? qatomic_load_acquire(&order->committed) : 0;
}

static bool set_tunables(Error **errp)
{
#define TUNABLE(opt_name, index, min, max, what) \
    { KVM_SAMSARA_TUNABLE_##index, opt_name },
    static const struct {
        uint32_t index;
        const char *name;
    } tunables[] = {
        SAMSARA_RECORD_TUNABLES(TUNABLE)
    };
#undef TUNABLE
    unsigned i;
    int ret;

    for (i = 0; i < ARRAY_SIZE(tunables); i++) {
        uint64_t *value = &samsara_opts.tunable[tunables[i].index];

        if (*value == SAMSARA_UNSET) {
            continue;
        }
        ret = device_attr(KVM_SET_DEVICE_ATTR, KVM_SAMSARA_GRP_TUNABLE,
                          tunables[i].index, value);
        if (ret < 0) {
            error_setg_errno(errp, -ret, "samsara: the kernel refuses -record "
                             "%s=%" PRIu64, tunables[i].name, *value);
            return false;
        }
    }
    return true;
}

/* What is not given is the host's. */
static bool settle(uint32_t index, Error **errp)
{
    uint64_t *value = &samsara_opts.tunable[index];
    int ret = 0;

    if (*value == SAMSARA_UNSET) {
        ret = device_attr(KVM_GET_DEVICE_ATTR, KVM_SAMSARA_GRP_TUNABLE, index,
                          value);
    }
    if (ret < 0) {
        kernel_error(errp, ret, "tell a setting");
    }
    return ret >= 0;
}

/* The recording says what was left to chance, so it is known here. */
static bool settle_chance(Error **errp)
{
    uint64_t *seed = &samsara_opts.tunable[KVM_SAMSARA_TUNABLE_SEED];
    uint32_t random;

    if (!settle(KVM_SAMSARA_TUNABLE_CHAOS, errp) ||
        !settle(KVM_SAMSARA_TUNABLE_SEED, errp)) {
        return false;
    }
    while (!*seed) {
        qemu_guest_getrandom_nofail(&random, sizeof(random));
        *seed = random;
    }
    return true;
}

static uint32_t config_flags(bool replay)
{
    uint32_t flags = 0;

    if (!replay && samsara_stop_on_error()) {
        flags |= KVM_SAMSARA_FLAG_STOP_ON_ERROR;
    }
    if (!replay ||
        smr_reader_info(samsara_opts.reader)->incompat & SMR_FILE_CRC) {
        flags |= KVM_SAMSARA_FLAG_CRC;
    }
    return flags;
}

bool samsara_device_config(uint32_t mode, uint64_t stop_at, Error **errp)
{
    ERRP_GUARD();
    unsigned nr_vcpus = current_machine->smp.cpus;
    bool replay = samsara_opts.replay;
    struct kvm_samsara_config config = {
        .version = KVM_SAMSARA_ABI_VERSION,
        .mode = mode,
        .nr_vcpus = nr_vcpus,
        .ring_bytes = samsara_opts.ring,
        .flags = config_flags(replay),
        .stop_at = stop_at,
        .debug_fault_commit = samsara_opts.debug_fault_commit,
    };
    unsigned i;
    int ret;

    samsara_device.eventfd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (samsara_device.eventfd < 0) {
        error_setg_errno(errp, errno, "samsara: eventfd");
        return false;
    }
    config.eventfd = samsara_device.eventfd;
    ret = device_attr(KVM_SET_DEVICE_ATTR, KVM_SAMSARA_GRP_CONFIG, 0, &config);
    if (ret < 0) {
        kernel_error(errp, ret, replay ? "replay this recording"
                                       : "record this guest");
        return false;
    }
    if ((!replay && !settle_chance(errp)) ||
        !set_tunables(errp)) {
        return false;
    }
    samsara_device.nr_rings = nr_vcpus + 1;
    samsara_device.rings = g_new0(SamsaraRing, samsara_device.nr_rings);
    for (i = 0; i < samsara_device.nr_rings; i++) {
        if (!map_ring(&samsara_device.rings[i], i, config.ring_bytes, errp)) {
            return false;
        }
    }
    return true;
}

bool samsara_device_start(Error **errp)
{
    int ret = samsara_device_ctrl(KVM_SAMSARA_CTRL_START);

    if (ret < 0) {
        kernel_error(errp, ret, "start");
        return false;
    }
    return true;
}

static void unmap_all(void)
{
    void *order;
    unsigned i;

    for (i = 0; i < samsara_device.nr_rings; i++) {
        SamsaraRing *r = &samsara_device.rings[i];

        if (r->hdr) {
            munmap(r->hdr, RING_HEADER_BYTES + (size_t)r->size);
        }
    }
    g_clear_pointer(&samsara_device.rings, g_free);
    samsara_device.nr_rings = 0;
    order = samsara_device.order;
    if (order) {
        qatomic_rcu_set(&samsara_device.order, NULL);
        /* who has seen that there is a recording may still look at it */
        synchronize_rcu();
        munmap(order, samsara_device.order_len);
    }
}

bool samsara_device_release(Error **errp)
{
    int ret = samsara_device_ctrl(KVM_SAMSARA_CTRL_CLEAR);

    if (ret < 0) {
        kernel_error(errp, ret, "record again now");
        return false;
    }
    unmap_all();
    if (samsara_device.eventfd >= 0) {
        close(samsara_device.eventfd);
        samsara_device.eventfd = -1;
    }
    return true;
}

void samsara_device_wait(int ms)
{
    struct pollfd pfd = { .fd = samsara_device.eventfd, .events = POLLIN };
    uint64_t count;

    if (poll(&pfd, 1, ms) > 0 &&
        read(samsara_device.eventfd, &count, sizeof(count)) < 0) {
        /* somebody else took it: nothing to do */
    }
}

void samsara_device_kick(void)
{
    uint64_t one = 1;

    if (write(samsara_device.eventfd, &one, sizeof(one)) < 0) {
        /* full: the other side is awake already */
    }
}
