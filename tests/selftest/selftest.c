// SPDX-License-Identifier: GPL-2.0
/*
 * Records and replays a small racing guest through the kernel interface only.
 *
 *	samsara_selftest [VCPUS [ROUNDS [CHUNK-LIMIT]]]
 *
 * Prints what was recorded and replayed; exit status 0 if the replay was exact.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm.h"

static void create_and_start(struct vm *vm, const struct vm_setup *setup, struct stream *streams)
{
	vm_create_configured(vm, setup);
	vm->stream = streams;
	vm_start(vm);
}

static void run(struct vm *vm, struct kvm_samsara_status *st)
{
	int i;

	vm_run(vm, st);
	for (i = 0; i < vm->setup.nr_vcpus; i++) {
		int wanted = is_replay_mode(vm->setup.mode) ? KVM_EXIT_SAMSARA : KVM_EXIT_IO;

		if (vm->outcome[i] == wanted)
			continue;
		printf("FAIL vcpu %d: exit reason %d\n", i, vm->outcome[i]);
		exit(1);
	}
}

/* Returns the exit status. */
static int replay(const struct vm *recorded, const struct kvm_samsara_status *rec,
		  const unsigned char *final, unsigned int mode)
{
	struct vm_setup setup = recorded->setup;
	struct kvm_samsara_status rep;
	struct vm vm;
	int i;

	setup.mode = mode;
	create_and_start(&vm, &setup, recorded->stream);
	run(&vm, &rep);
	printf("replayed: mode %u state %u error %d commits %llu steps %llu copies %llu digest %llx\n",
	       mode, rep.state, rep.error, rep.commits, rep.landing_steps, rep.copies,
	       rep.mem_digest);
	if (rep.state == KVM_SAMSARA_STATE_DIVERGED)
		printf("diverged: commit %llu vcpu %d field %u expected %llx got %llx\n",
		       rep.div_commit, rep.div_vcpu, rep.div_field, rep.div_expected, rep.div_got);
	for (i = 0; i < setup.nr_vcpus; i++)
		printf("vcpu %d: %08x %08x\n", i, recorded->result[i], vm.result[i]);
	if (rep.state != KVM_SAMSARA_STATE_STOPPED || rep.commits != rec->commits ||
	    memcmp(recorded->result, vm.result, sizeof(vm.result[0]) * setup.nr_vcpus) ||
	    memcmp(final, vm.mem, MEM_BYTES)) {
		printf("FAIL replay differs\n");
		return 1;
	}
	vm_destroy(&vm);
	return 0;
}

int main(int argc, char **argv)
{
	struct vm_setup setup = {
		.nr_vcpus = argc > 1 ? atoi(argv[1]) : 2,
		.rounds = argc > 2 ? strtoul(argv[2], NULL, 0) : 20000,
		.chunk_limit = argc > 3 ? strtoul(argv[3], NULL, 0) : 0,
		.mode = KVM_SAMSARA_MODE_RECORD,
	};
	struct kvm_samsara_status rec;
	struct stream *streams;
	unsigned char *final;
	struct vm vm;
	int i;

	if (setup.nr_vcpus < 1 || setup.nr_vcpus > MAX_VCPUS)
		return 2;
	vmm_init();
	streams = streams_new(setup.nr_vcpus);

	create_and_start(&vm, &setup, streams);
	run(&vm, &rec);
	printf("recorded: state %u error %d commits %llu chunks %llu rollbacks %llu sections %llu copies %llu async %llu bytes %llu exclusive %llu digest %llx\n",
	       rec.state, rec.error, rec.commits, rec.chunks, rec.rollbacks, rec.sections,
	       rec.copies, rec.async_ends, rec.log_bytes, rec.exclusive, rec.mem_digest);
	final = malloc(MEM_BYTES);
	memcpy(final, vm.mem, MEM_BYTES);
	vm_destroy(&vm);
	if (rec.state != KVM_SAMSARA_STATE_STOPPED)
		return 1;

	for (i = 0; replay_modes[i]; i++)
		if (replay(&vm, &rec, final, replay_modes[i]))
			return 1;
	printf("ok\n");
	return 0;
}
