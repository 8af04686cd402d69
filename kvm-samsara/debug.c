// SPDX-License-Identifier: GPL-2.0
/*
 * A debugger's breakpoints, watchpoints and steps in a replay.
 *
 * They are in the processor's debug registers 1 to 3 while the guest runs, and in the
 * monitor trap flag: guest memory stays as it is, and the guest sees nothing of them.
 * Where one is met KVM_RUN returns with KVM_EXIT_DEBUG, in the middle of a chunk as a rule,
 * and goes on from there when it is called again.  So the replay stays what it is,
 * whatever is looked at.
 *
 * A place in the chunk of a commit is a position (position.c): the debugger gets those of
 * its stops, and may ask to be taken to one (land.c).
 *
 * Chunks are done one at a time, in parallel replay, too (parallel_get_ready()): while the
 * vCPU of one has stopped in the middle, nobody commits.  One that has stopped between chunks
 * keeps the others from committing by vm->replay.frozen, or they would be somewhere else each
 * time.
 *
 * A guest that uses breakpoints itself has the debug registers.  Instructions are looked at
 * one by one then, and watchpoints see nothing.  Nor do they see what KVM and devices write.
 */
#include <linux/uaccess.h>
#include <linux/percpu.h>
#include <asm/debugreg.h>

#include "arch.h"
#include "debug.h"
#include "position.h"
#include "samsara.h"
#include "vm.h"

static_assert(KVM_SAMSARA_DEBUG_POINTS == 3);

#define ENABLE(nr)	(DR_GLOBAL_ENABLE << ((nr) * DR_ENABLE_SIZE))
#define CONTROL(nr, c)	((unsigned long)(c) << (DR_CONTROL_SHIFT + (nr) * DR_CONTROL_SIZE))

static bool wants_stops(const struct kvm_samsara_debug *debug)
{
	return debug->flags || debug->nr_points;
}

/* Changes only while no vCPU is in KVM_RUN. */
bool samsara_debug_is_on(const struct samsara_vm *vm)
{
	return wants_stops(&vm->debug);
}

static bool steps(const struct samsara_vcpu *sv)
{
	return (sv->vm->debug.flags & KVM_SAMSARA_DEBUG_STEP) && sv->vm->debug.vcpu == sv->id;
}

static u64 linear_rip(struct samsara_vcpu *sv)
{
	return kvm_get_linear_rip(sv->vcpu);
}

/* Breakpoints at the instruction the guest is at, as bits of DR6. */
static u32 breakpoints_here(struct samsara_vcpu *sv)
{
	const struct kvm_samsara_debug *debug = &sv->vm->debug;
	u64 rip = linear_rip(sv);
	u32 i, hits = 0;

	for (i = 0; i < debug->nr_points; i++)
		if (debug->point[i].type == KVM_SAMSARA_POINT_EXECUTE &&
		    debug->point[i].addr == rip)
			hits |= DR_TRAP1 << i;
	return hits;
}

static bool in_chunk(const struct samsara_vcpu *sv)
{
	return sv->state == SAMSARA_AT_START || sv->state == SAMSARA_IN_CHUNK;
}

/* The counters are the vCPU's thread's. */
static void find_place(struct samsara_vcpu *sv, struct smr_position *pos)
{
	if (sv->state == SAMSARA_IN_CHUNK) {
		samsara_position(sv, pos);
		return;
	}
	*pos = (struct smr_position) {
		.rip = kvm_rip_read(sv->vcpu),
		.rcx = kvm_rcx_read(sv->vcpu),
	};
}

/* Has the debugger been told of this place already? */
static bool told(struct samsara_vcpu *sv)
{
	struct smr_position now;

	if (!sv->debug.stopped)
		return false;
	find_place(sv, &now);
	return samsara_same_position(&now, &sv->debug.stopped_at) &&
	       now.jumps == sv->debug.stopped_at.jumps;
}

/*
 * The same, if the debugger does not know yet.  Whoever has brought the guest here, by steps
 * or by RFLAGS.RF, may take it over them.
 */
static u32 new_breakpoints_here(struct samsara_vcpu *sv)
{
	u32 hits = breakpoints_here(sv);

	return hits && !told(sv) ? hits : 0;
}

/*
 * RFLAGS.RF takes the guest over a breakpoint that the debugger has been told of, see
 * choose_step() in land.c.  Not if an event comes first, whose frame would have it.  The
 * processor clears it after the instruction, but not after one that KVM does.
 */
static void set_resume_flag(struct samsara_vcpu *sv)
{
	unsigned long rflags = vmx_get_rflags(sv->vcpu);

	if (sv->debug.resume_flag && kvm_rip_read(sv->vcpu) != sv->debug.resume_rip) {
		sv->debug.resume_flag = false;
		vmx_set_rflags(sv->vcpu, rflags & ~X86_EFLAGS_RF);
	}
	if ((rflags & X86_EFLAGS_RF) || !breakpoints_here(sv) || !told(sv) ||
	    (vmcs_read32(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID_MASK))
		return;
	sv->debug.resume_flag = true;
	sv->debug.resume_rip = kvm_rip_read(sv->vcpu);
	vmx_set_rflags(sv->vcpu, rflags | X86_EFLAGS_RF);
}

static unsigned long control(const struct kvm_samsara_debug_point *point)
{
	static const u8 lengths[] = {
		[1] = DR_LEN_1, [2] = DR_LEN_2, [4] = DR_LEN_4, [8] = DR_LEN_8,
	};

	switch (point->type) {
	case KVM_SAMSARA_POINT_WRITE:
		return DR_RW_WRITE | lengths[point->len];
	case KVM_SAMSARA_POINT_ACCESS:
		return DR_RW_READ | lengths[point->len];
	default:
		return DR_RW_EXECUTE;
	}
}

/*
 * Before VM-entry, in a chunk, IRQs off.  Returns the bits of DR7 for what is in the debug
 * registers now.
 */
unsigned long samsara_debug_load(struct samsara_vcpu *sv)
{
	const struct kvm_samsara_debug *debug = &sv->vm->debug;
	unsigned long dr7 = 0;
	bool on_steps;
	u32 i;

	if (likely(!samsara_debug_is_on(sv->vm)))
		return 0;
	on_steps = debug->nr_points && samsara_guest_breaks(sv->vcpu);
	if (steps(sv) || on_steps)
		samsara_set_stepping(sv, true);
	if (on_steps || !debug->nr_points)
		return 0;
	set_resume_flag(sv);
	for (i = 0; i < debug->nr_points; i++) {
		dr7 |= ENABLE(i + 1) | CONTROL(i + 1, control(&debug->point[i]));
		set_debugreg(debug->point[i].addr, i + 1);
	}
	return dr7;
}

/*
 * After VM-exit, IRQs off; @hits: what it was about, as bits of DR6.  True if the debugger
 * may want to be told.
 */
bool samsara_debug_look(struct samsara_vcpu *sv, u32 hits)
{
	sv->debug.hits = hits & ~DR_TRAP0;
	if (hits & DR_TRAP0)
		sv->debug.hits |= new_breakpoints_here(sv);
	if (samsara_exit_reason(sv->vcpu) == EXIT_REASON_MONITOR_TRAP_FLAG)
		samsara_debug_completed(sv);
	return sv->debug.hits || sv->debug.stepped;
}

/* An instruction of the guest's is over. */
void samsara_debug_completed(struct samsara_vcpu *sv)
{
	if (likely(!samsara_debug_is_on(sv->vm)))
		return;
	if (steps(sv))
		sv->debug.stepped = true;
	sv->debug.hits |= new_breakpoints_here(sv);
}

/* KVM_RUN returns; who calls it again knows of this place. */
static void tell(struct samsara_vcpu *sv)
{
	struct kvm_run *run = sv->vcpu->run;
	u64 dr6 = DR6_FIXED_1 | sv->debug.hits;

	if (sv->debug.stepped)
		dr6 |= DR6_BS;
	run->exit_reason = KVM_EXIT_DEBUG;
	run->debug.arch.exception = DB_VECTOR;
	run->debug.arch.pc = linear_rip(sv);
	run->debug.arch.dr6 = dr6;
	run->debug.arch.dr7 = 0;
	sv->debug.hits = 0;
	sv->debug.stepped = false;
	sv->debug.arrived = false;
	sv->debug.stopped = in_chunk(sv);
	find_place(sv, &sv->debug.stopped_at);
}

static void thaw(struct samsara_vm *vm)
{
	mutex_lock(&vm->commit_lock);
	if (vm->replay.frozen) {
		vm->replay.frozen = false;
		/* Whoever found that the next commit may not begin has to look again. */
		WRITE_ONCE(vm->replay.pauses, vm->replay.pauses + 1);
	}
	mutex_unlock(&vm->commit_lock);
	wake_up_all(&vm->wq);
}

/* No event comes first. */
static bool is_at_instruction(const struct samsara_vcpu *sv)
{
	switch (sv->state) {
	case SAMSARA_AT_START:
		return !(sv->rec.flags & SMR_F_EVENT);
	case SAMSARA_IN_CHUNK:
		return !samsara_event_requeued(sv->vcpu);
	default:
		return false;
	}
}

/* The vCPU does not stop here: what it kept from going on goes on. */
void samsara_debug_goes_on(struct samsara_vcpu *sv)
{
	if (steps(sv) && READ_ONCE(sv->vm->replay.frozen))
		thaw(sv->vm);
}

/*
 * Before the vCPU enters the guest or does anything else: does KVM_RUN return to the debugger?
 */
bool samsara_debug_stops(struct samsara_vcpu *sv)
{
	if (likely(!samsara_debug_is_on(sv->vm)))
		return false;
	if (is_at_instruction(sv))
		sv->debug.hits |= new_breakpoints_here(sv);
	if (sv->debug.hits || sv->debug.stepped || sv->debug.arrived) {
		tell(sv);
		return true;
	}
	samsara_debug_goes_on(sv);
	return false;
}

/* Does the debugger want to be taken to a place in the open chunk? */
bool samsara_debug_goes(const struct samsara_vcpu *sv)
{
	return (sv->vm->debug.flags & KVM_SAMSARA_DEBUG_GOTO) &&
	       sv->vm->debug.commit == sv->rec.commit_seq && !sv->debug.been_there;
}

/* Is it there, or behind? */
bool samsara_debug_is_there(const struct samsara_vcpu *sv, const struct smr_position *now)
{
	const struct kvm_samsara_debug *debug = &sv->vm->debug;
	const struct kvm_samsara_position *pos = &debug->pos;

	if (now->branches > pos->branches || now->jumps > pos->jumps)
		return !(debug->flags & KVM_SAMSARA_DEBUG_AT_LEAST) ||
		       (now->branches >= pos->branches && now->jumps >= pos->jumps);
	return now->branches == pos->branches && now->jumps == pos->jumps &&
	       ((debug->flags & KVM_SAMSARA_DEBUG_AT_LEAST) ||
		(now->rip == pos->rip && now->rcx == pos->rcx));
}

void samsara_debug_arrived(struct samsara_vcpu *sv)
{
	sv->debug.arrived = true;
	sv->debug.been_there = true;
}

/* KVM_RUN returns. */
void samsara_debug_left(struct samsara_vcpu *sv)
{
	find_place(sv, &sv->debug.at);
}

/* The open chunk is over. */
void samsara_debug_ended(struct samsara_vcpu *sv)
{
	find_place(sv, &sv->debug.last_pos);
}

/* The commit in sv->rec is done, and nobody knows it yet. */
void samsara_debug_committed(struct samsara_vcpu *sv)
{
	lockdep_assert_held(&sv->vm->commit_lock);
	sv->debug.last_commit = sv->rec.commit_seq;
	sv->debug.last_type = sv->rec.type;
	if (sv->rec.type == SMR_CHUNK) {
		sv->debug.last_chunk = sv->rec.commit_seq;
		sv->debug.last_end = sv->rec.end;
	}
	sv->debug.stopped = false;
	if (steps(sv))
		sv->vm->replay.frozen = true;
}

static bool point_is_sound(const struct kvm_samsara_debug_point *point)
{
	if (point->reserved)
		return false;
	switch (point->type) {
	case KVM_SAMSARA_POINT_EXECUTE:
		return point->len == 1;
	case KVM_SAMSARA_POINT_WRITE:
	case KVM_SAMSARA_POINT_ACCESS:
		return is_power_of_2(point->len) && point->len <= 8 &&
		       IS_ALIGNED(point->addr, point->len);
	default:
		return false;
	}
}

static bool is_sound(const struct samsara_vm *vm, const struct kvm_samsara_debug *debug)
{
	u32 i;

	if ((debug->flags & ~KVM_SAMSARA_DEBUG_ALL) || debug->reserved ||
	    debug->nr_points > KVM_SAMSARA_DEBUG_POINTS)
		return false;
	if ((debug->flags & KVM_SAMSARA_DEBUG_STEP) && debug->vcpu >= vm->nr_vcpus)
		return false;
	for (i = 0; i < debug->nr_points; i++)
		if (!point_is_sound(&debug->point[i]))
			return false;
	return true;
}

/* A chunk runs on copies, or others may run beside it. */
static bool is_parallel(const struct samsara_vm *vm)
{
	u32 i;

	for (i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpus[i]->replay.begun)
			return true;
	return false;
}

static void change(struct samsara_vm *vm, const struct kvm_samsara_debug *debug)
{
	struct samsara_vcpu *sv;
	u32 i;

	vm->debug = *debug;
	for (i = 0; i < vm->nr_vcpus; i++) {
		sv = vm->vcpus[i];
		sv->debug.hits = 0;
		sv->debug.stepped = false;
		sv->debug.arrived = false;
		sv->debug.been_there = false;
		/* It may be on its way to another place. */
		sv->landing.armed = false;
	}
	thaw(vm);
}

/*
 * Returns 0; -EINVAL: no replay, or the points; -EBUSY: a vCPU is in KVM_RUN or another
 * ioctl, or in a chunk beside which others run; -EFAULT.
 */
int samsara_debug_set(struct samsara_vm *vm, const struct kvm_samsara_debug __user *uaddr)
{
	struct kvm_samsara_debug debug;
	int r;

	lockdep_assert_held(&vm->config_lock);
	if (copy_from_user(&debug, uaddr, sizeof(debug)))
		return -EFAULT;
	if (!samsara_alive(vm) || !is_sound(vm, &debug))
		return -EINVAL;
	mutex_lock(&vm->kvm->lock);
	r = samsara_lock_vcpus(vm->kvm);
	if (!r) {
		if (wants_stops(&debug) && is_parallel(vm))
			r = -EBUSY;
		else
			change(vm, &debug);
		samsara_unlock_vcpus(vm->kvm);
	}
	mutex_unlock(&vm->kvm->lock);
	return r;
}

static void get_place(struct samsara_vcpu *sv, struct kvm_samsara_place *place)
{
	if (in_chunk(sv))
		place->commit = sv->rec.commit_seq;
	samsara_position_put(&place->pos, &sv->debug.at);
	place->last_commit = sv->debug.last_commit;
	place->last_type = sv->debug.last_type;
	place->last_end = sv->debug.last_end;
	place->last_chunk = sv->debug.last_chunk;
	samsara_position_put(&place->last_pos, &sv->debug.last_pos);
}

/*
 * Returns 0; -ENODATA: nothing is replayed; -ENXIO: no such vCPU; -EBUSY: it is in KVM_RUN or
 * another ioctl; -EFAULT.
 */
int samsara_debug_get(struct samsara_vm *vm, u64 id, struct kvm_samsara_place __user *uaddr)
{
	struct kvm_samsara_place place = {};
	struct samsara_vcpu *sv;

	if (id >= vm->nr_vcpus)
		return -ENXIO;
	sv = vm->vcpus[id];
	if (!mutex_trylock(&sv->vcpu->mutex))
		return -EBUSY;
	get_place(sv, &place);
	mutex_unlock(&sv->vcpu->mutex);
	return copy_to_user(uaddr, &place, sizeof(place)) ? -EFAULT : 0;
}
