// SPDX-License-Identifier: GPL-2.0
/* Rings and logs: headers that lie, records that are cut, doubled or false; DMA. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "hostile.h"
#include "smr_codec.h"

#define EXIT_REASON_IO	30

/* ---- a process that waits for data or for room must die when it is killed */

static void put_bytes(struct vm *vm, int ring, const void *p, size_t len)
{
	memcpy(ring_data(vm->ring[ring]), p, len);
	__atomic_store_n(&vm->ring[ring]->head, len, __ATOMIC_RELEASE);
}

static const unsigned char cut_record[] = { SMR_CHUNK, 40 };

static void wait_in_replay(const void *arg)
{
	struct smr_record first = {
		.type = SMR_CHUNK, .commit_seq = 1, .end = EXIT_REASON_IO,
	};
	struct vm_setup setup = { .nr_vcpus = 1, .mode = KVM_SAMSARA_MODE_REPLAY };
	const char *what = arg;
	unsigned char bytes[100];
	struct smr_buf buf = { .p = bytes, .size = sizeof(bytes) };
	struct smr_stream stream = {};
	struct vm vm;

	vm_create_configured(&vm, &setup);
	vm_start(&vm);
	if (!strcmp(what, "cut record")) {
		put_bytes(&vm, 0, cut_record, sizeof(cut_record));
	} else if (!strcmp(what, "cut record of the VM")) {
		must_work(smr_encode(&stream, &first, &buf), "encode");
		put_bytes(&vm, 0, bytes, buf.len);
		put_bytes(&vm, 1, cut_record, sizeof(cut_record));
	}
	ready();
	vcpu_run(&vm, 0);
	fail("KVM_RUN returned");
}

static void replay_killed(void)
{
	must_die(wait_in_replay, "no data", "replay without data");
	must_die(wait_in_replay, "cut record", "replay of a cut record");
	must_die(wait_in_replay, "cut record of the VM", "replay of a cut record of the VM");
}

static void *send_dma(void *p)
{
	struct kvm_samsara_dma dma = {
		.ram = DATA_ADDR, .len = KVM_SAMSARA_DMA_MAX,
		.uaddr = (unsigned long)((struct vm *)p)->mem,
	};

	while (!vm_set_attr(p, KVM_SAMSARA_GRP_DMA, 0, &dma))
		;
	return NULL;
}

/* Has the first ring not grown since @head, when both were that full already? */
static bool stays_full(struct vm *vm, unsigned long long *head)
{
	unsigned long long was = *head, is = vm->ring[0]->head;

	if (is + vm->ring[1]->head <= RING_BYTES)
		return false;
	*head = is;
	return is == was;
}

/* Nobody takes what the rings hold. */
static void wait_for_room(const void *arg)
{
	struct vm_setup setup = {
		.nr_vcpus = 2, .mode = *(const unsigned int *)arg, .guest = &device_guest,
	};
	unsigned long long head = 0;
	pthread_t thread;
	struct vm vm;

	vm_create_configured(&vm, &setup);
	vm_start(&vm);
	vcpu_start(&vm, 0);
	vcpu_start(&vm, 1);
	pthread_create(&thread, NULL, send_dma, &vm);
	/* A vCPU keeps some room. */
	if (!wait_until(stays_full(&vm, &head), 50000))
		fail("the rings do not get full: %llu and %llu bytes", vm.ring[0]->head,
		     vm.ring[1]->head);
	ready();
	pause();
}

static void full_rings_killed(void)
{
	const unsigned int *mode;

	for (mode = record_modes; *mode; mode++) {
		char what[64];

		snprintf(what, sizeof(what), "recording with full rings, mode %u", *mode);
		must_die(wait_for_room, mode, what);
	}
}

/* ---- headers that lie */

struct scribbler {
	struct vm *vm;
	unsigned int rng;
	bool content, quit;
};

static unsigned int next_random(unsigned int *rng)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 17;
	*rng ^= *rng << 5;
	return *rng;
}

static __u64 hostile_number(struct scribbler *s, __u64 near)
{
	switch (next_random(&s->rng) % 6) {
	case 0: return 0;
	case 1: return ~0ull - next_random(&s->rng) % 5;
	case 2: return (__u64)next_random(&s->rng) << 32 | next_random(&s->rng);
	case 3: return near + RING_BYTES + next_random(&s->rng) % 3 - 1;
	case 4: return near - next_random(&s->rng) % 100;
	default: return near;
	}
}

static void *scribble(void *p)
{
	struct scribbler *s = p;

	while (!__atomic_load_n(&s->quit, __ATOMIC_ACQUIRE)) {
		struct kvm_samsara_ring *r = s->vm->ring[next_random(&s->rng) % 3];

		switch (next_random(&s->rng) % 6) {
		case 0:
			r->size = next_random(&s->rng);
			break;
		case 1:
			r->flags = next_random(&s->rng) & ~KVM_SAMSARA_RING_EOF;
			break;
		case 2:
			r->tail = hostile_number(s, r->head);
			break;
		case 3:
			r->head = hostile_number(s, r->tail);
			break;
		default:
			if (s->content)
				ring_data(r)[next_random(&s->rng) % RING_BYTES] =
					next_random(&s->rng) % 7;
			break;
		}
	}
	return NULL;
}

static void hostile_headers(unsigned int mode, unsigned int seed)
{
	struct vm_setup setup = {
		.nr_vcpus = 2, .mode = mode, .guest = &device_guest, .chunk_limit = 500,
	};
	struct kvm_samsara_status st;
	struct scribbler s;
	pthread_t thread;
	struct vm vm;
	int i;

	vm_create_configured(&vm, &setup);
	s = (struct scribbler) {
		.vm = &vm, .rng = seed * 2654435761u + 1,
		.content = is_replay_mode(mode),
	};
	vm_start(&vm);
	vcpu_start(&vm, 0);
	vcpu_start(&vm, 1);
	pthread_create(&thread, NULL, scribble, &s);
	for (i = 0; i < 50; i++) {
		usleep(5000);
		vm_ctrl(&vm, KVM_SAMSARA_CTRL_WAKE);
	}
	/* While the headers go on lying. */
	stop(&vm, &st, "with lying headers");
	leave(&vm, "with lying headers");
	__atomic_store_n(&s.quit, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	if (st.state == KVM_SAMSARA_STATE_RECORDING || st.state == KVM_SAMSARA_STATE_REPLAYING ||
	    st.state == KVM_SAMSARA_STATE_IDLE)
		fail("mode %u: state %u", mode, st.state);
	vm_destroy(&vm);
}

static void headers_recording(void)
{
	unsigned int i, m;

	for (i = 0; i < 3; i++)
		for (m = 0; record_modes[m]; m++)
			hostile_headers(record_modes[m], i + m * 10);
}

static void headers_replaying(void)
{
	unsigned int i;

	for (i = 0; i < 10; i++)
		hostile_headers(replay_modes[i % 2], i);
}

/* ---- logs that are false */

/* Calls @edit for each record of a stream, with a place for the data, and encodes it anew. */
static void rewrite(struct stream *s, void (*edit)(struct smr_record *rec, unsigned char *data))
{
	struct smr_stream in = {}, out = {};
	struct smr_buf buf = { .p = malloc(s->size), .size = s->size };
	unsigned char *data = malloc(SMR_RECORD_MAX);
	struct smr_record rec;
	size_t at = 0;
	int len;

	for (; at < s->len; at += len) {
		len = smr_peek(s->bytes + at, s->len - at);
		if (len <= 0 || smr_decode(&in, s->bytes + at, len, &rec))
			fail("a recording can't be decoded");
		memcpy(data, rec.data, rec.data_len);
		rec.data = data;
		edit(&rec, data);
		if (smr_encode(&out, &rec, &buf))
			fail("a record can't be encoded");
	}
	free(s->bytes);
	free(data);
	s->bytes = buf.p;
	s->len = buf.len;
}

static void record(const struct vm_setup *setup, struct stream *streams)
{
	struct kvm_samsara_status st;
	struct vm vm;

	vm_create_configured(&vm, setup);
	vm.stream = streams;
	vm_start(&vm);
	vm_run(&vm, &st);
	if (st.state != KVM_SAMSARA_STATE_STOPPED)
		fail("recording: state %u error %d", st.state, st.error);
	vm_destroy(&vm);
}

/* Both vCPUs look into their rings before there is anything. */
static void replay_checked(const struct vm_setup *setup, unsigned int mode, bool replay_check,
			   struct stream *streams, struct kvm_samsara_status *st)
{
	struct vm_setup again = *setup;
	struct vm vm;
	int i;

	again.mode = mode;
	vm_create_configured(&vm, &again);
	must_work(vm_set_tunable(&vm, KVM_SAMSARA_TUNABLE_REPLAY_CHECK, replay_check), "tunable");
	vm.stream = streams;
	vm_start(&vm);
	for (i = 0; i < setup->nr_vcpus; i++)
		vcpu_start(&vm, i);
	usleep(50000);
	vm_serve(&vm);
	if (!wait_until((vm_get_status(&vm, st), st->state != KVM_SAMSARA_STATE_REPLAYING), 20000))
		fail("the replay does not end, at commit %llu", st->commits);
	leave(&vm, "replay");
	vm_destroy(&vm);
}

static void replay_at_once(const struct vm_setup *setup, unsigned int mode,
			   struct stream *streams, struct kvm_samsara_status *st)
{
	replay_checked(setup, mode, false, streams, st);
}

static void start_early(struct smr_record *rec, unsigned char *data)
{
	(void)data;
	if (rec->type == SMR_CHUNK)
		rec->start_seq = 0;
}

/* Each chunk may begin before it can have seen what it has: that shows, as itself or in digests. */
static void early_starts(void)
{
	const struct vm_setup setup = {
		.nr_vcpus = 2, .mode = KVM_SAMSARA_MODE_RECORD, .rounds = 20000,
		.chunk_limit = 2000, .memdigest = 16,
	};
	struct kvm_samsara_status st;
	struct stream *streams;
	bool check;
	int i;

	for (i = 0; i < 6; i++) {
		check = i % 2;
		streams = streams_new(2);
		record(&setup, streams);
		rewrite(&streams[0], start_early);
		rewrite(&streams[1], start_early);
		replay_checked(&setup, KVM_SAMSARA_MODE_REPLAY_PARALLEL, check, streams, &st);
		if (st.state != KVM_SAMSARA_STATE_DIVERGED ||
		    (check && st.div_field != KVM_SAMSARA_DIV_LOG))
			fail("check %d: state %u, error %d, field %u at commit %llu", check,
			     st.state, st.error, st.div_field, st.div_commit);
		/* To serial replay it is no matter. */
		replay_at_once(&setup, KVM_SAMSARA_MODE_REPLAY, streams, &st);
		if (st.state != KVM_SAMSARA_STATE_STOPPED)
			fail("serial: state %u, error %d, field %u at commit %llu", st.state,
			     st.error, st.div_field, st.div_commit);
		streams_free(streams, 2);
	}
}

/* A chunk that has begun before the memory map changes, and ends after that. */
static void early_start_map(void)
{
	const struct vm_setup setup = {
		.nr_vcpus = 1, .mode = KVM_SAMSARA_MODE_REPLAY_PARALLEL, .guest = &device_guest,
	};
	struct smr_record chunk = { .type = SMR_CHUNK, .commit_seq = 2, .end = EXIT_REASON_IO };
	struct smr_record map = { .type = SMR_MAP, .commit_seq = 1 };
	struct smr_stream chunk_stream = {}, map_stream = {};
	unsigned char chunk_bytes[100], map_bytes[100];
	struct smr_buf c = { .p = chunk_bytes, .size = sizeof(chunk_bytes) };
	struct smr_buf m = { .p = map_bytes, .size = sizeof(map_bytes) };
	struct kvm_samsara_status st;
	struct vm vm;

	must_work(smr_encode(&chunk_stream, &chunk, &c), "encode");
	must_work(smr_encode(&map_stream, &map, &m), "encode");
	vm_create_configured(&vm, &setup);
	vm_start(&vm);
	put_bytes(&vm, 0, chunk_bytes, c.len);
	vcpu_start(&vm, 0);
	if (!wait_until((vm_get_status(&vm, &st), st.begun == 2), 5000))
		fail("the chunk does not begin");
	put_bytes(&vm, 1, map_bytes, m.len);
	vm_ctrl(&vm, KVM_SAMSARA_CTRL_WAKE);
	if (!wait_until((vm_get_status(&vm, &st), st.state != KVM_SAMSARA_STATE_REPLAYING), 5000))
		fail("the replay does not end");
	if (st.state != KVM_SAMSARA_STATE_DIVERGED || st.div_field != KVM_SAMSARA_DIV_LOG ||
	    st.div_commit != 1)
		fail("state %u, error %d, field %u at commit %llu", st.state, st.error,
		     st.div_field, st.div_commit);
	leave(&vm, "replay");
	vm_destroy(&vm);
}

static unsigned long long next_seq;

static void renumber(struct smr_record *rec, unsigned char *data)
{
	(void)data;
	if (rec->type == SMR_CHUNK || rec->type == SMR_SECTION)
		rec->commit_seq = ++next_seq;
	if (rec->type == SMR_CHUNK)
		rec->start_seq = rec->commit_seq - 1;
}

/*
 * Two vCPUs that have nothing in common: whatever the order, both do what they did.
 * Only that they have the same numbers is wrong.
 */
static void duplicate_commits(void)
{
	struct vm_setup setup = {
		.nr_vcpus = 2, .mode = KVM_SAMSARA_MODE_RECORD, .rounds = 20000,
		.chunk_limit = 2000, .memdigest = 1 << 20, .apart = true,
	};
	struct kvm_samsara_status st;
	struct stream *streams;
	int i;

	for (i = 0; i < 5; i++) {
		streams = streams_new(2);
		record(&setup, streams);
		next_seq = 0;
		rewrite(&streams[0], renumber);
		next_seq = 0;
		rewrite(&streams[1], renumber);
		replay_at_once(&setup, replay_modes[i % 2], streams, &st);
		if (st.state == KVM_SAMSARA_STATE_STOPPED)
			fail("a log with each number twice replays");
		if (st.state != KVM_SAMSARA_STATE_DIVERGED || st.div_field != KVM_SAMSARA_DIV_LOG)
			fail("state %u, error %d, field %u at commit %llu of vcpu %d", st.state,
			     st.error, st.div_field, st.div_commit, st.div_vcpu);
		streams_free(streams, 2);
	}
	note("diverges at commit %llu of vcpu %d", st.div_commit, st.div_vcpu);
}

/* The value to put in, of the items of that kind, and in how many records. */
static struct {
	unsigned char kind;
	bool in;		/* BUS: of those with data, or without */
	int value;
	u64 commit;		/* the first with such an item */
} lie;

static bool is_lied_about(const struct smr_item *item)
{
	if (item->kind != lie.kind)
		return false;
	return item->kind != SMR_IN_BUS || (item->len > sizeof(int)) == lie.in;
}

/*
 * Items are written anew: a number may get longer.  Data of user space's that come
 * after a lie are as many as could be asked for.
 */
static void put_lie(struct smr_record *rec, unsigned char *data)
{
	struct smr_cursor c = { .p = rec->data, .end = rec->data + rec->data_len };
	unsigned char *copy = malloc(SMR_RECORD_MAX);
	struct smr_buf out = { .p = copy, .size = SMR_RECORD_MAX };
	const unsigned char *start = c.p;
	unsigned char padded[8] = {};
	struct smr_item item;
	u64 tsc = 0;

	while (smr_next_item(&c, &tsc, &item) == 1) {
		if (is_lied_about(&item) && !lie.commit)
			lie.commit = rec->commit_seq;
		if (item.kind == SMR_IN_USER && lie.commit && item.len < sizeof(padded)) {
			memcpy(padded, item.data, item.len);
			smr_in_user(&out, padded, sizeof(padded));
		} else if (!is_lied_about(&item)) {
			smr_put_bytes(&out, start, c.p - start);
		} else if (item.kind == SMR_IN_BUS) {
			memcpy((unsigned char *)item.data, &lie.value, sizeof(lie.value));
			smr_put_bytes(&out, start, c.p - start);
		} else {
			smr_put_u8(&out, item.kind);
			smr_put_zigzag(&out, lie.value);
			if (item.kind == SMR_IN_RDMSR)
				smr_put_varint(&out, item.value);
		}
		start = c.p;
	}
	memcpy(data, copy, out.len);
	rec->data_len = out.len;
	free(copy);
}

/* What no device and no MSR of KVM's answers. */
static void false_results(void)
{
	static const struct {
		unsigned char kind;
		bool in;
		int value;
	} lies[] = {
		{ SMR_IN_BUS, true, -4096 }, { SMR_IN_BUS, true, 5 }, { SMR_IN_BUS, true, 4096 },
		{ SMR_IN_BUS, true, 0x7fffffff }, { SMR_IN_BUS, true, -0x7fffffff - 1 },
		{ SMR_IN_BUS, true, -1 }, { SMR_IN_BUS, false, -4096 }, { SMR_IN_BUS, false, 9 },
		{ SMR_IN_BUS, false, 0x10000 }, { SMR_IN_RDMSR, false, -4096 },
		{ SMR_IN_RDMSR, false, 12345 }, { SMR_IN_WRMSR, false, -4096 },
		{ SMR_IN_WRMSR, false, 12345 },
	};
	struct vm_setup setup = {
		.nr_vcpus = 1, .mode = KVM_SAMSARA_MODE_RECORD, .rounds = 20, .guest = &device_guest,
	};
	struct kvm_samsara_status st;
	struct stream *streams;
	size_t i;

	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		streams = streams_new(1);
		record(&setup, streams);
		lie.kind = lies[i].kind;
		lie.in = lies[i].in;
		lie.value = lies[i].value;
		lie.commit = 0;
		rewrite(&streams[0], put_lie);
		if (!lie.commit)
			fail("kind %u: no such item", lie.kind);
		replay_at_once(&setup, replay_modes[i % 2], streams, &st);
		/* There, before it has an effect. */
		if (st.state != KVM_SAMSARA_STATE_DIVERGED || st.div_commit != lie.commit)
			fail("kind %u with %d in commit %llu: state %u error %d, field %u at commit %llu",
			     lie.kind, lie.value, (unsigned long long)lie.commit, st.state,
			     st.error, st.div_field, st.div_commit);
		streams_free(streams, 1);
	}
	note("%zu lies", i);
}

/* ---- device models that write while vCPUs run */

static int dma(struct vm *vm, __u64 gpa, __u32 len, const void *from)
{
	struct kvm_samsara_dma d = { .ram = gpa, .len = len, .uaddr = (unsigned long)from };

	return vm_set_attr(vm, KVM_SAMSARA_GRP_DMA, 0, &d);
}

static void bad_dma(struct vm *vm)
{
	struct kvm_samsara_dma d = {
		.ram = DATA_ADDR, .len = 4, .uaddr = (unsigned long)vm->mem, .reserved = 1,
	};

	must_fail(vm_set_attr(vm, KVM_SAMSARA_GRP_DMA, 0, &d), EINVAL, "DMA with reserved = 1");
	must_fail(dma(vm, DATA_ADDR, 0, vm->mem), EINVAL, "DMA of nothing");
	must_fail(dma(vm, 0, KVM_SAMSARA_DMA_MAX + 1, vm->mem), EINVAL, "DMA of too much");
	must_fail(dma(vm, 0, ~0u, vm->mem), EINVAL, "DMA of 4 GiB");
	must_fail(dma(vm, MEM_BYTES, 1, vm->mem), EINVAL, "DMA behind memory");
	must_fail(dma(vm, MEM_BYTES - 1, 2, vm->mem), EINVAL, "DMA over the end of memory");
	must_fail(dma(vm, ~0ull, 1, vm->mem), EINVAL, "DMA to the end");
	must_fail(dma(vm, ~0ull, 2, vm->mem), EINVAL, "DMA over the end");
	must_fail(dma(vm, 1ull << 52, 1, vm->mem), EINVAL, "DMA to 2^52");
	must_fail(dma(vm, DATA_ADDR, 1, NULL), EFAULT, "DMA from 0");
	must_fail(dma(vm, DATA_ADDR, 1, (void *)~0ull), EFAULT, "DMA from the end");
	must_fail(vm_set_attr(vm, KVM_SAMSARA_GRP_DMA, 0, NULL), EFAULT, "DMA at 0");
}

/* Into the pages that the vCPUs read and write. */
static void write_like_a_device(struct vm *vm)
{
	static unsigned char bytes[9000];
	unsigned int i, rng = 4711;

	bad_dma(vm);
	for (i = 0; i < 150; i++) {
		memset(bytes, i, sizeof(bytes));
		must_work(dma(vm, DATA_ADDR + next_random(&rng) % 0x2000,
			      1 + next_random(&rng) % (i % 10 ? 64 : sizeof(bytes)), bytes), "DMA");
		if (i % 4)
			usleep(next_random(&rng) % 400);
	}
}

static void with_dma(unsigned int mode)
{
	struct vm_setup setup = {
		.nr_vcpus = 2, .mode = mode, .rounds = 60000, .chunk_limit = 2000,
	};
	struct vm vm;

	vm_create_configured(&vm, &setup);
	must_fail(dma(&vm, DATA_ADDR, 1, vm.mem), ESHUTDOWN, "DMA before START");
	vm_destroy(&vm);
	record_and_replay(&setup, write_like_a_device);
}

static void dma_parallel(void)
{
	with_dma(KVM_SAMSARA_MODE_RECORD);
}

static void dma_serial(void)
{
	with_dma(KVM_SAMSARA_MODE_RECORD_SERIAL);
}

static void dma_crew(void)
{
	with_dma(KVM_SAMSARA_MODE_RECORD_CREW);
}

/* All kinds of inputs that there are without QEMU. */
static void devices(void)
{
	struct vm_setup setup = {
		.nr_vcpus = 2, .mode = KVM_SAMSARA_MODE_RECORD, .rounds = 200,
		.guest = &device_guest,
	};

	record_and_replay(&setup, NULL);
}

/*
 * A chunk ends some branches behind a REP of many iterations: replay, which steps there,
 * does not do each of them.
 */
static void land_behind_rep(void)
{
	struct vm_setup setup = {
		.nr_vcpus = 2, .mode = KVM_SAMSARA_MODE_RECORD, .rounds = 60, .guest = &copying_guest,
		.chunk_limit = 400, .apart = true,
	};
	struct kvm_samsara_status st = record_and_replay(&setup, NULL);

	if (st.chunks < 20 || st.landing_steps > 2000 * st.chunks)
		fail("%llu steps, %llu chunks", st.landing_steps, st.chunks);
	note("%llu commits, %llu chunks, %llu steps", st.commits, st.chunks, st.landing_steps);
}

const struct hostile_case log_cases[] = {
	{ "replay-killed", replay_killed },
	{ "full-rings-killed", full_rings_killed },
	{ "headers-recording", headers_recording },
	{ "headers-replaying", headers_replaying },
	{ "devices", devices },
	{ "false-results", false_results },
	{ "duplicate-commits", duplicate_commits },
	{ "early-starts", early_starts },
	{ "early-start-map", early_start_map },
	{ "dma-parallel", dma_parallel },
	{ "dma-serial", dma_serial },
	{ "dma-crew", dma_crew },
	{ "land-behind-rep", land_behind_rep },
	{}
};
