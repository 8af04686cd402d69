/* SPDX-License-Identifier: GPL-2.0 */
#ifndef FUZZ_H
#define FUZZ_H

#include "vmm.h"

#define NR_OF(a)	(sizeof(a) / sizeof((a)[0]))
#define NR_VMS		2
#define NR_VCPUS	3
#define NR_RINGS	(NR_VCPUS + 1)
#define MEM		(1u << 20)
/* Places for mappings, so that nothing else is ever where one was. */
#define RUN_AREA	(64u << 10)
#define RING_AREA	(2u << 20)
#define LOG_BYTES	(1u << 20)

/* Random numbers: a generator for each operation. */
struct rng {
	unsigned long long s;
};

unsigned long long random64(struct rng *r);
unsigned int below(struct rng *r, unsigned int n);
bool one_in(struct rng *r, unsigned int n);
/* A number that someone may not have thought of. */
unsigned long long odd_number(struct rng *r);
void spoil(struct rng *r, void *p, size_t len);

/* What a recording's rings have held, and what the guest was. */
struct log {
	struct stream stream[NR_RINGS];
	const struct guest *guest;
	unsigned int rounds;
};

struct target {
	struct log log;			/* recorded so far, or to be replayed; under log_lock */
	int fd, device, vcpu[NR_VCPUS];
	unsigned char *mem;
	unsigned char *run[NR_VCPUS];	/* places of mappings, or of nothing */
	unsigned char *ring[NR_RINGS];
	unsigned char *scratch;
	unsigned int mode, nr_vcpus, ring_bytes;
};

extern struct target targets[NR_VMS];
/* The last recording with so many vCPUs. */
extern struct log last_log[NR_VCPUS + 1];

void init_log(struct log *log);
void init_target(struct target *t);
void close_target(struct target *t);
void *nothing_at(void *place, size_t len);
int map_at(void *place, size_t len, int fd, unsigned long long offset, int flags);
void map_rings(struct target *t);
bool is_replay(const struct target *t);
/* What the VM is to do next: a new recording, or to replay the last one. */
void choose_work(struct rng *r, struct target *t);
/* Mostly one that there is. */
unsigned int some_vcpu(struct rng *r, const struct target *t);
unsigned int some_ring(struct rng *r, const struct target *t);

int attr(int fd, unsigned long request, unsigned int group, unsigned long nr, void *addr);
int set_attr(struct target *t, unsigned int group, unsigned long nr, void *addr);
int ctrl(struct target *t, unsigned long what);

/* Operations: each returns 0, or -1 and errno. */
int op_build(struct rng *r, struct target *t);
int op_close(struct rng *r, struct target *t);
int op_run(struct rng *r, struct target *t);
int op_scribble_run(struct rng *r, struct target *t);
int op_state(struct rng *r, struct target *t);
int op_vcpu_ioctl(struct rng *r, struct target *t);
int op_vm_ioctl(struct rng *r, struct target *t);
int op_create_vcpu(struct rng *r, struct target *t);
int op_memory(struct rng *r, struct target *t);
int op_config(struct rng *r, struct target *t);
int op_start(struct rng *r, struct target *t);
int op_stop(struct rng *r, struct target *t);
int op_wake(struct rng *r, struct target *t);
int op_status(struct rng *r, struct target *t);
int op_tunable(struct rng *r, struct target *t);
int op_attr(struct rng *r, struct target *t);
int op_dma(struct rng *r, struct target *t);
int op_map(struct rng *r, struct target *t);
int op_scribble_header(struct rng *r, struct target *t);
int op_scribble_data(struct rng *r, struct target *t);
int op_drain(struct rng *r, struct target *t);
int op_feed(struct rng *r, struct target *t);
int op_guest_memory(struct rng *r, struct target *t);
int op_fork(struct rng *r, struct target *t);

extern unsigned int nr_threads;
extern __thread unsigned int thread_nr;

/* How often VMs were seen in each state. */
#define NR_STATES	(KVM_SAMSARA_STATE_FAILED + 1)
extern unsigned long states_seen[NR_STATES];

#endif
