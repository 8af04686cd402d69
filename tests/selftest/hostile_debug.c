// SPDX-License-Identifier: GPL-2.0
/* What a debugger asks for in a replay, and where one may begin: nonsense is refused. */
#include <errno.h>
#include <string.h>

#include "hostile.h"

static const struct vm_setup replay = {
	.nr_vcpus = 2, .mode = KVM_SAMSARA_MODE_REPLAY,
};

static int debug(struct vm *vm, const struct kvm_samsara_debug *d)
{
	return vm_set_attr(vm, KVM_SAMSARA_GRP_DEBUG, 0, (void *)d);
}

static void refused(struct vm *vm, const struct kvm_samsara_debug *d, const char *what)
{
	must_fail(debug(vm, d), EINVAL, what);
}

static void points(struct vm *vm)
{
	struct kvm_samsara_debug d = { .nr_points = 1 };

	d.point[0] = (struct kvm_samsara_debug_point) { .addr = 3, .len = 1 };
	must_work(debug(vm, &d), "a breakpoint");
	d.point[0].len = 2;
	refused(vm, &d, "a breakpoint of two bytes");
	d.point[0].type = KVM_SAMSARA_POINT_WRITE;
	refused(vm, &d, "a watchpoint that is not aligned");
	d.point[0].addr = ~0ull - 7;
	d.point[0].len = 8;
	must_work(debug(vm, &d), "a watchpoint at the end");
	d.point[0].len = 3;
	refused(vm, &d, "a watchpoint of three bytes");
	d.point[0].len = 0;
	refused(vm, &d, "a watchpoint of no bytes");
	d.point[0].len = 16;
	refused(vm, &d, "a watchpoint of 16 bytes");
	d.point[0].len = 8;
	d.point[0].type = 2;
	refused(vm, &d, "a point for ports");
	d.point[0].type = KVM_SAMSARA_POINT_ACCESS;
	d.point[0].reserved = 1;
	refused(vm, &d, "a reserved field");
}

static void debug_refused(void)
{
	struct kvm_samsara_debug d = {};
	struct kvm_samsara_place place;
	struct vm vm;

	vm_create(&vm, &replay);
	refused(&vm, &d, "before CONFIG");
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_PLACE, 0, &place), ENODATA, "before CONFIG");
	vm_destroy(&vm);

	vm_create_configured(&vm, &replay);
	refused(&vm, &d, "before START");
	vm_start(&vm);
	must_work(debug(&vm, &d), "nothing");
	must_fail(vm_set_attr(&vm, KVM_SAMSARA_GRP_DEBUG, 0, NULL), EFAULT, "from 0");
	must_fail(vm_set_attr(&vm, KVM_SAMSARA_GRP_DEBUG, 1, &d), ENXIO, "attribute 1");
	d.flags = KVM_SAMSARA_DEBUG_ALL + 1;
	refused(&vm, &d, "an unknown flag");
	d.flags = KVM_SAMSARA_DEBUG_STEP;
	d.vcpu = 2;
	refused(&vm, &d, "steps of no vCPU");
	d.vcpu = 1;
	must_work(debug(&vm, &d), "steps");
	d.nr_points = KVM_SAMSARA_DEBUG_POINTS + 1;
	refused(&vm, &d, "too many points");
	points(&vm);
	must_work(vm_get_attr(&vm, KVM_SAMSARA_GRP_PLACE, 1, &place), "a place");
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_PLACE, 2, &place), ENXIO, "of no vCPU");
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_PLACE, ~0ull, &place), ENXIO, "of none");
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_PLACE, 1, NULL), EFAULT, "to 0");
	vm_destroy(&vm);
}

static void progress(struct vm *vm)
{
	struct kvm_samsara_progress p = {};
	int i;

	for (i = 0; i < 3; i++)
		must_work(vm_set_attr(vm, KVM_SAMSARA_GRP_PROGRESS, i, &p), "progress");
	must_fail(vm_set_attr(vm, KVM_SAMSARA_GRP_PROGRESS, 3, &p), ENXIO, "of no stream");
	must_fail(vm_set_attr(vm, KVM_SAMSARA_GRP_PROGRESS, 0, NULL), EFAULT, "from 0");
	p.done = ~0ull;
	must_fail(vm_set_attr(vm, KVM_SAMSARA_GRP_PROGRESS, 2, &p), EINVAL, "too many commits");
	p.done = 0;
	p.commit_seq = ~0ull;
	must_fail(vm_set_attr(vm, KVM_SAMSARA_GRP_PROGRESS, 2, &p), EINVAL, "a large number");
	p.commit_seq = 0;
	p.reserved[0] = 1;
	must_fail(vm_set_attr(vm, KVM_SAMSARA_GRP_PROGRESS, 2, &p), EINVAL, "a reserved field");
	memset(&p, 0xff, sizeof(p));
	memset(p.reserved, 0, sizeof(p.reserved));
	p.done = 0;
	p.commit_seq = 0;
	must_work(vm_set_attr(vm, KVM_SAMSARA_GRP_PROGRESS, 0, &p), "all ones");
}

static void slots(struct vm *vm)
{
	struct kvm_samsara_slots s = {};

	must_fail(vm_set_attr(vm, KVM_SAMSARA_GRP_SLOTS, 0, &s), EINVAL, "no slots");
	s.nr = KVM_SAMSARA_MAX_SLOTS + 1;
	must_fail(vm_set_attr(vm, KVM_SAMSARA_GRP_SLOTS, 0, &s), EINVAL, "too many slots");
	s.nr = 1;
	s.slot[0].flags = 2;
	must_fail(vm_set_attr(vm, KVM_SAMSARA_GRP_SLOTS, 0, &s), EINVAL, "an unknown flag");
	must_fail(vm_set_attr(vm, KVM_SAMSARA_GRP_SLOTS, 0, NULL), EFAULT, "from 0");
	must_fail(vm_set_attr(vm, KVM_SAMSARA_GRP_SLOTS, 1, &s), ENXIO, "attribute 1");
}

static void changes(struct vm *vm)
{
	unsigned long long bits[16];
	struct kvm_samsara_changed c = { .npages = 1, .uaddr = (unsigned long)bits };

	must_work(vm_get_attr(vm, KVM_SAMSARA_GRP_CHANGED, 0, &c), "what has changed");
	c.npages = 0;
	must_fail(vm_get_attr(vm, KVM_SAMSARA_GRP_CHANGED, 0, &c), EINVAL, "no pages");
	c.npages = ~0ull;
	must_fail(vm_get_attr(vm, KVM_SAMSARA_GRP_CHANGED, 0, &c), EINVAL, "too many pages");
	c.npages = 1;
	c.ram = 1;
	must_fail(vm_get_attr(vm, KVM_SAMSARA_GRP_CHANGED, 0, &c), EINVAL, "not a page");
	c.ram = ~0xfffull;
	must_fail(vm_get_attr(vm, KVM_SAMSARA_GRP_CHANGED, 0, &c), EINVAL, "no RAM");
	c.ram = 0;
	c.uaddr = 0;
	must_fail(vm_get_attr(vm, KVM_SAMSARA_GRP_CHANGED, 0, &c), EFAULT, "to 0");
}

/* What does not belong together must diverge, and do nothing else. */
static void resume_refused(void)
{
	struct kvm_samsara_progress p;
	struct kvm_samsara_slots s;
	struct vm vm;

	vm_create_configured(&vm, &replay);
	progress(&vm);
	slots(&vm);
	vm_destroy(&vm);

	vm_create_configured(&vm, &replay);
	progress(&vm);
	vm_start(&vm);
	must_fail(vm_set_attr(&vm, KVM_SAMSARA_GRP_PROGRESS, 0, &p), EBUSY, "after START");
	must_work(vm_get_attr(&vm, KVM_SAMSARA_GRP_PROGRESS, 0, &p), "progress");
	must_work(vm_get_attr(&vm, KVM_SAMSARA_GRP_PROGRESS, 2, &p), "the VM's");
	must_fail(vm_get_attr(&vm, KVM_SAMSARA_GRP_PROGRESS, 3, &p), ENXIO, "of no stream");
	must_work(vm_get_attr(&vm, KVM_SAMSARA_GRP_SLOTS, 0, &s), "slots");
	must_fail(vm_set_attr(&vm, KVM_SAMSARA_GRP_SLOTS, 0, &s), EBUSY, "after START");
	changes(&vm);
	vm_destroy(&vm);
}

const struct hostile_case debug_cases[] = {
	{ "debug-refused", debug_refused },
	{ "resume-refused", resume_refused },
	{},
};
