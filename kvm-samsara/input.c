// SPDX-License-Identifier: GPL-2.0
/*
 * Inputs: everything that comes into the guest from outside its memory and
 * registers.  While recording their values are put into the record of the
 * chunk or section that asked; while replaying they come from there and no
 * device, timer or clock is asked.
 */
#include "input.h"
#include "log.h"
#include "samsara.h"
#include "vm.h"

/* What the guest sends to devices, in the digest chain: replay must send the same. */
static void chain_output(struct samsara_vcpu *sv, u64 addr, const void *data, u32 len)
{
	u64 v = 0;
	u32 part;

	sv->progress.chain = smr_chain(sv->progress.chain, addr);
	for (; len; len -= part, data += part) {
		part = min_t(u32, len, 8);
		memcpy(&v, data, part);
		sv->progress.chain = smr_chain(sv->progress.chain, v);
	}
}

static bool record_input(struct samsara_vcpu *sv)
{
	return sv->state == SAMSARA_IN_SECTION && !sv->mode->from_log;
}

static bool replay_input(struct samsara_vcpu *sv)
{
	return sv->state == SAMSARA_IN_SECTION && sv->mode->from_log;
}

/*
 * The log's answer to a device access.  KVM uses *r as an offset into @data, so it is
 * only taken from the log if an in-kernel device could have returned it.
 */
static bool replay_bus(struct samsara_vcpu *sv, enum smr_bus bus, bool in, int len,
		       void *data, int *r)
{
	u32 want = sizeof(*r) + (in ? len : 0);
	struct smr_item item;
	s32 ret;

	if (!samsara_replay_item(sv, SMR_IN_BUS, &item))
		return false;
	if (item.len != want) {
		samsara_diverged(sv, KVM_SAMSARA_DIV_INPUT, item.len, want);
		return false;
	}
	/* The data begins with the return value. */
	memcpy(&ret, item.data, sizeof(ret));
	if (!smr_bus_ret_ok(bus, len, ret)) {
		samsara_diverged(sv, KVM_SAMSARA_DIV_INPUT, (u32)ret, len);
		return false;
	}
	*r = ret;
	if (in)
		memcpy(data, item.data + sizeof(ret), len);
	return true;
}

/*
 * A device access by PIO or MMIO.  *r is what KVM's in-kernel devices would
 * return: for PIO 0 (handled) or not; for MMIO the number of bytes handled.
 */
bool samsara_bus_before(struct kvm_vcpu *vcpu, enum kvm_bus bus, bool in, gpa_t addr, int len,
			void *data, int *r)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);
	bool mmio = bus == KVM_MMIO_BUS;

	if (!in && sv->state == SAMSARA_IN_SECTION)
		chain_output(sv, addr, data, len);
	if (!replay_input(sv))
		return false;
	if (!replay_bus(sv, mmio ? SMR_BUS_MMIO : SMR_BUS_PIO, in, len, data, r)) {
		/* The replay has ended.  KVM need not do anything more about the access. */
		if (in)
			memset(data, 0, len);
		*r = mmio ? len : 0;
	}
	return true;
}

void samsara_bus_after(struct kvm_vcpu *vcpu, enum kvm_bus bus, bool in, gpa_t addr, int len,
		       const void *data, int r)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);
	u8 answer[sizeof(r) + SMR_BUS_MAX];

	if (!record_input(sv))
		return;
	if (len > SMR_BUS_MAX ||
	    !smr_bus_ret_ok(bus == KVM_MMIO_BUS ? SMR_BUS_MMIO : SMR_BUS_PIO, len, r)) {
		samsara_fail_from(sv->vm, sv->rec.commit_seq, -E2BIG,
				  "a device's answer can't be logged");
		return;
	}
	memcpy(answer, &r, sizeof(r));
	if (in)
		memcpy(answer + sizeof(r), data, len);
	smr_in_bus(&sv->inputs, answer, sizeof(r) + (in ? len : 0));
}

/*
 * MSRs whose whole effect is on the vCPU's own architectural state.  Replay
 * writes these for real; a write to any other one reaches the LAPIC, a timer or
 * the clock, so only its outcome is replayed.
 */
static bool msr_is_guest_state(u32 index)
{
	switch (index) {
	case MSR_IA32_TSC:
	case MSR_IA32_TSC_DEADLINE:
	case MSR_IA32_TSC_ADJUST:
	case APIC_BASE_MSR ... APIC_BASE_MSR + 0xff:
		return false;
	default:
		return true;
	}
}

/* KVM's paravirtual MSRs make it write to guest memory.  CPUID does not offer them. */
static bool msr_is_paravirtual(u32 index)
{
	return index == MSR_KVM_WALL_CLOCK || index == MSR_KVM_SYSTEM_TIME ||
	       (index >= 0x4b564d00 && index <= 0x4b564dff);
}

bool samsara_msr_before(struct kvm_vcpu *vcpu, bool in, u32 index, u64 *data, int *r)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);
	struct smr_item item;

	if (!in && sv->state == SAMSARA_IN_SECTION)
		chain_output(sv, index, data, sizeof(*data));
	*r = 1;
	if (in)
		*data = 0;
	if (msr_is_paravirtual(index))
		return true;
	if (!replay_input(sv))
		return false;
	if (!samsara_replay_item(sv, in ? SMR_IN_RDMSR : SMR_IN_WRMSR, &item))
		return true;
	if (!smr_msr_ret_ok(item.ret)) {
		samsara_diverged(sv, KVM_SAMSARA_DIV_INPUT, (u32)item.ret, index);
		return true;
	}
	*r = item.ret;
	if (in) {
		*data = item.value;
	} else if (msr_is_guest_state(index)) {
		/* Same state, same value: the outcome can't differ. */
		int got = kvm_set_msr(vcpu, index, *data);

		if (got != item.ret)
			samsara_diverged(sv, KVM_SAMSARA_DIV_INPUT, item.ret, got);
	}
	return true;
}

void samsara_msr_after(struct kvm_vcpu *vcpu, bool in, u32 index, u64 data, int r)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);

	if (!record_input(sv))
		return;
	if (!smr_msr_ret_ok(r))
		samsara_fail_from(sv->vm, sv->rec.commit_seq, -ERANGE,
				  "the result of an MSR access can't be logged");
	else if (in)
		smr_in_rdmsr(&sv->inputs, r, r ? 0 : data);
	else
		smr_in_wrmsr(&sv->inputs, r);
}

/* RULE 2: logged at the start of the chunk that runs next. */
void samsara_note_init(struct kvm_vcpu *vcpu)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);

	/* A later INIT makes an earlier start-up IPI void. */
	sv->next_start.flags = SMR_F_INIT;
}

void samsara_note_sipi(struct kvm_vcpu *vcpu, u8 vector)
{
	struct samsara_vcpu *sv = to_samsara(vcpu);

	sv->next_start.flags |= SMR_F_SIPI;
	sv->next_start.sipi_vector = vector;
}

/* The result of RDTSC or RDTSCP.  CR4.TSD needs no check, its #GP comes before the exit. */
static void set_tsc(struct kvm_vcpu *vcpu, u64 tsc, bool rdtscp)
{
	u64 aux;

	kvm_rax_write(vcpu, (u32)tsc);
	kvm_rdx_write(vcpu, tsc >> 32);
	if (rdtscp) {
		if (kvm_get_msr(vcpu, MSR_TSC_AUX, &aux))
			aux = 0;
		kvm_rcx_write(vcpu, (u32)aux);
	}
}

int samsara_give_tsc(struct kvm_vcpu *vcpu, u64 tsc, bool rdtscp)
{
	set_tsc(vcpu, tsc, rdtscp);
	return kvm_skip_emulated_instruction(vcpu);
}

/* The chunk's own input, inside the chunk.  False: the log has none here. */
bool samsara_take_tsc(struct samsara_vcpu *sv, bool rdtscp)
{
	struct smr_item item;
	u64 tsc;

	if (sv->state == SAMSARA_IN_CHUNK && sv->mode->from_log) {
		if (!samsara_replay_item(sv, SMR_IN_TSC, &item))
			return false;
		tsc = item.value;
	} else {
		tsc = kvm_read_l1_tsc(sv->vcpu, rdtsc());
		if (sv->state == SAMSARA_IN_CHUNK)
			smr_in_tsc(&sv->inputs, &sv->chunk_last_tsc, tsc);
	}
	set_tsc(sv->vcpu, tsc, rdtscp);
	return true;
}

int samsara_emulate_rdtsc(struct samsara_vcpu *sv, bool rdtscp)
{
	return samsara_take_tsc(sv, rdtscp) ? kvm_skip_emulated_instruction(sv->vcpu) : 1;
}

/* Log @len bytes at @data, or replace them by what was logged. */
static void log_user_data(struct samsara_vcpu *sv, void *data, u32 len)
{
	struct smr_item item;

	if (record_input(sv)) {
		smr_in_user(&sv->inputs, data, len);
		return;
	}
	if (!samsara_replay_item(sv, SMR_IN_USER, &item))
		return;
	if (item.len != len) {
		samsara_diverged(sv, KVM_SAMSARA_DIV_INPUT, item.len, len);
		return;
	}
	memcpy(data, item.data, len);
}

/* User space's answer to RDMSR or WRMSR, which KVM's MSR filter has left to it. */
static void log_user_msr(struct samsara_vcpu *sv)
{
	struct kvm_run *run = sv->vcpu->run;
	__le64 answer[2] = { cpu_to_le64(!!run->msr.error), cpu_to_le64(run->msr.data) };

	log_user_data(sv, answer, sizeof(answer));
	run->msr.error = !!answer[0];
	run->msr.data = le64_to_cpu(answer[1]);
}

/* What user space has answered, on its way to the guest. */
void samsara_user_input(struct samsara_vcpu *sv)
{
	struct kvm_vcpu *vcpu = sv->vcpu;

	if (sv->asked_for_msr)
		log_user_msr(sv);
	else if (vcpu->arch.pio.count && vcpu->arch.pio.in)
		log_user_data(sv, vcpu->arch.pio_data,
			      vcpu->arch.pio.size * vcpu->arch.pio.count);
	else if (vcpu->mmio_needed && !vcpu->mmio_is_write)
		log_user_data(sv, vcpu->run->mmio.data,
			      min(8u, vcpu->mmio_fragments[vcpu->mmio_cur_fragment].len));
	sv->asked_for_msr = false;
}
