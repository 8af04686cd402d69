/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A small VMM for tests of the kernel interface: virtual machines of a few vCPUs
 * that are recorded into memory and replayed from there.
 */
#ifndef VMM_H
#define VMM_H

#include <linux/kvm.h>
#include <linux/kvm_samsara.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define MEM_BYTES	(2u << 20)
#define RING_BYTES	(256u << 10)
#define HEADER_BYTES	4096u
#define CODE_ADDR	0x1000u
#define DATA_ADDR	0x80000u
/* Each vCPU's own data, if they are not to share theirs. */
#define DATA_STRIDE	0x4000u
#define MAX_VCPUS	4

/*
 * Of a guest with a window: guest memory from DATA_ADDR on is one of so many banks, in
 * memory slot WINDOW_SLOT; all RAM is registered, with RAM addresses from WINDOW_RAM on.
 */
#define WINDOW_BYTES	0x4000u
#define WINDOW_SLOT	1
#define WINDOW_BANKS	4
#define WINDOW_RAM	(1ull << 40)

/* The guest's ports: a result of 32 bits; the end of the vCPU's work. */
#define PORT_RESULT	0xe9
#define PORT_END	0xf4
/* No memory slot is there, nor any of KVM's devices. */
#define MMIO_ADDR	0xd0000000u

/*
 * 32-bit code without paging.  EDI: vCPU, ESI: rounds, EBX: data; it ends with
 * a result in PORT_RESULT and anything in PORT_END.
 */
struct guest {
	const unsigned char *code, *end;
};

/* vCPUs read and write the same words without a lock, and now and then the TSC. */
extern const struct guest racing_guest;
/* One access after the other to ports, MMIO, the LAPIC and MSRs. */
extern const struct guest device_guest;
/* Copies 32 KiB by one REP MOVSB in each round. */
extern const struct guest copying_guest;
/* Counts for ever, without an exit. */
extern const struct guest spinning_guest;

/* KVM_SAMSARA_MODE_* of all ways to record, ended by 0 */
extern const unsigned int record_modes[];
/* The same to replay. */
extern const unsigned int replay_modes[];
bool is_replay_mode(unsigned int mode);

struct vm_setup {
	int nr_vcpus;
	unsigned int mode;		/* KVM_SAMSARA_MODE_* */
	unsigned int rounds;		/* 0: 2^32 */
	const struct guest *guest;	/* NULL: racing_guest */
	size_t mem_bytes;		/* 0: MEM_BYTES */
	unsigned int ring_bytes;	/* 0: RING_BYTES */
	unsigned long chunk_limit;	/* 0: the default */
	unsigned long memdigest;	/* commits from one to the next, 0: the default */
	bool apart;			/* vCPUs have no data in common */
	bool window;			/* see vm_set_window() */
};

struct stream {
	unsigned char *bytes;
	size_t len, size;
};

struct vm {
	struct vm_setup setup;
	int fd, device;
	unsigned char *mem;
	int vcpu[MAX_VCPUS];
	struct kvm_run *run[MAX_VCPUS];
	struct kvm_samsara_ring *ring[MAX_VCPUS + 1];
	/* What was recorded, or what to replay: not freed by vm_destroy(). */
	struct stream *stream;
	pthread_t thread[MAX_VCPUS], service;
	bool started[MAX_VCPUS], serviced;
	int outcome[MAX_VCPUS];		/* exit reason or -errno that its thread ended with */
	unsigned int result[MAX_VCPUS];
	bool quit;			/* vCPU threads leave KVM_RUN for good */
	bool service_quit;
};

/* Set by who wants to have the text of a fatal error, else it is printed. */
extern char *die_text;
#define DIE_TEXT_BYTES	4096

void die(const char *what) __attribute__((noreturn));
int check(int r, const char *what);

extern int kvm_fd, run_bytes;
void vmm_init(void);

/* Each vm_*() that returns int: 0, or -1 and errno. */
int vm_set_attr(struct vm *vm, unsigned int group, unsigned long attr, const void *addr);
int vm_get_attr(struct vm *vm, unsigned int group, unsigned long attr, void *addr);
int vm_ctrl(struct vm *vm, unsigned long what);
int vm_set_tunable(struct vm *vm, unsigned long index, unsigned long value);
void vm_get_status(struct vm *vm, struct kvm_samsara_status *st);

/* The registers the guest begins with. */
int vcpu_set_start(int fd, int i, const struct vm_setup *setup);
/*
 * The same for a vCPU that is being recorded, between MAP_BEGIN and MAP_END, and without a thread
 * in KVM_RUN.  vcpu_run() does it in replay.
 */
int vcpu_reset(struct vm *vm, int i);
/* With its device, memory and vCPUs, not configured. */
void vm_create(struct vm *vm, const struct vm_setup *setup);
struct kvm_samsara_config vm_config(const struct vm *vm);
/* ... and configured, with its rings mapped; memory for what it records. */
void vm_create_configured(struct vm *vm, const struct vm_setup *setup);
/* A VM that has been created, or cleared after its recording has ended. */
void vm_configure(struct vm *vm);
int vm_clear(struct vm *vm);
void vm_map_rings(struct vm *vm);
/* The window shows so many bytes of a bank; readonly: writes are MMIO.  0 bytes: nothing. */
int vm_set_window(struct vm *vm, int bank, size_t bytes, bool readonly);
int vm_register_ram(struct vm *vm, const struct kvm_samsara_ram_block *blocks, unsigned int nr);
void vm_start(struct vm *vm);
void vm_destroy(struct vm *vm);

struct stream *streams_new(int nr_vcpus);
void streams_free(struct stream *streams, int nr_vcpus);
size_t vm_stride(const struct vm *vm);
unsigned char *ring_data(struct kvm_samsara_ring *ring);

/* Take what the rings of a recording hold; fill those of a replay. */
void vm_drain(struct vm *vm);
void vm_feed(struct vm *vm);
void vm_serve(struct vm *vm);	/* a thread does that until vm_stop_serving() */
void vm_stop_serving(struct vm *vm);

/*
 * KVM_RUN until the guest is done (recording), the replay has ended, the guest does
 * something unexpected, or vm->quit.  Returns the exit reason or -errno.
 */
int vcpu_run(struct vm *vm, int i);
void vcpu_start(struct vm *vm, int i);		/* the same in a thread */
void vcpu_join(struct vm *vm, int i);
void vm_interrupt(struct vm *vm);		/* make all vCPU threads return */
/* All of it, from KVM_RUN to STOP. */
void vm_run(struct vm *vm, struct kvm_samsara_status *st);

#endif
