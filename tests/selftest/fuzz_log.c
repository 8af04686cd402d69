// SPDX-License-Identifier: GPL-2.0
/* samsara_fuzz: rings, and the logs that were in them. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fuzz.h"

struct log last_log[NR_VCPUS + 1];
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

void init_log(struct log *log)
{
	unsigned int i;

	for (i = 0; i < NR_RINGS; i++)
		log->stream[i] = (struct stream) { .bytes = malloc(LOG_BYTES), .size = LOG_BYTES };
}

static void copy_log(struct log *to, const struct log *from)
{
	unsigned int i;

	to->guest = from->guest;
	to->rounds = from->rounds;
	for (i = 0; i < NR_RINGS; i++) {
		to->stream[i].len = from->stream[i].len;
		memcpy(to->stream[i].bytes, from->stream[i].bytes, from->stream[i].len);
	}
}

bool is_replay(const struct target *t)
{
	return is_replay_mode(t->mode);
}

unsigned int some_ring(struct rng *r, const struct target *t)
{
	unsigned int i = below(r, NR_RINGS);

	return one_in(r, 16) ? i : i % (t->nr_vcpus + 1);
}

/* What the VM is to do next: a new recording, or to replay the last one. */
void choose_work(struct rng *r, struct target *t)
{
	bool device = one_in(r, 2);
	unsigned int rounds = 100 + below(r, 20000), i;

	pthread_mutex_lock(&log_lock);
	if (!is_replay(t) && t->log.stream[0].len)
		copy_log(&last_log[t->nr_vcpus], &t->log);
	t->mode = KVM_SAMSARA_MODE_RECORD + below(r, 5);
	t->nr_vcpus = 1 + below(r, NR_VCPUS);
	t->ring_bytes = RING_BYTES << below(r, 3);
	if (is_replay(t))
		copy_log(&t->log, &last_log[t->nr_vcpus]);
	else
		for (i = 0; i < NR_RINGS; i++)
			t->log.stream[i].len = 0;
	if (!is_replay(t) || !t->log.guest) {
		t->log.guest = device ? &device_guest : &racing_guest;
		t->log.rounds = rounds;
	}
	pthread_mutex_unlock(&log_lock);
}

int op_map(struct rng *r, struct target *t)
{
	size_t stride = HEADER_BYTES + t->ring_bytes;
	unsigned int i = some_ring(r, t);

	if (!one_in(r, 4))
		return map_at(t->ring[i], stride, t->device, i * stride, MAP_SHARED);
	return map_at(t->scratch, 4096 + below(r, RING_AREA / 4096) * 4096, t->device,
		      odd_number(r) & ~4095ull, one_in(r, 2) ? MAP_PRIVATE : MAP_SHARED);
}

void map_rings(struct target *t)
{
	size_t stride = HEADER_BYTES + t->ring_bytes;
	unsigned int i;

	for (i = 0; i <= t->nr_vcpus; i++)
		map_at(t->ring[i], stride, t->device, i * stride, MAP_SHARED);
}

int op_scribble_header(struct rng *r, struct target *t)
{
	struct kvm_samsara_ring *ring = (void *)t->ring[some_ring(r, t)];

	switch (below(r, 5)) {
	case 0:
		ring->head = one_in(r, 2) ? odd_number(r) : ring->tail + below(r, 100);
		break;
	case 1:
		ring->tail = one_in(r, 2) ? odd_number(r) : ring->head - below(r, 100);
		break;
	case 2:
		ring->flags = random64(r);
		break;
	case 3:
		ring->size = odd_number(r);
		break;
	default:
		ring->tail = ring->head;
		break;
	}
	return 0;
}

int op_scribble_data(struct rng *r, struct target *t)
{
	unsigned char *data = t->ring[some_ring(r, t)] + HEADER_BYTES;
	unsigned int n = 1 + below(r, 20), at = below(r, t->ring_bytes ?: 1);

	while (n--)
		data[at + n < t->ring_bytes ? at + n : 0] = one_in(r, 2) ? random64(r) : 1 + below(r, 6);
	return 0;
}

/* A copy of a ring's part, since the mapping may go at any time. */
static unsigned int read_ring(struct target *t, unsigned int i, unsigned char *to, unsigned int max)
{
	struct kvm_samsara_ring *ring = (void *)t->ring[i];
	__u64 head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE), tail = ring->tail;
	unsigned int n = 0;

	while (tail < head && n < max && t->ring_bytes)
		to[n++] = t->ring[i][HEADER_BYTES + (tail++ & (t->ring_bytes - 1))];
	__atomic_store_n(&ring->tail, tail, __ATOMIC_RELEASE);
	return n;
}

/* What a good VMM does with a recording. */
int op_drain(struct rng *r, struct target *t)
{
	static __thread unsigned char part[65536];
	unsigned int i, n;

	(void)r;
	if (is_replay(t))
		return 0;
	for (i = 0; i <= t->nr_vcpus; i++) {
		struct stream *s = &t->log.stream[i];

		n = read_ring(t, i, part, sizeof(part));
		pthread_mutex_lock(&log_lock);
		/* What finds no room is missing at the end. */
		if (s->len + n <= s->size) {
			memcpy(s->bytes + s->len, part, n);
			s->len += n;
		}
		pthread_mutex_unlock(&log_lock);
	}
	return ctrl(t, KVM_SAMSARA_CTRL_WAKE);
}

static void write_ring(struct target *t, unsigned int i, const unsigned char *from, unsigned int n)
{
	struct kvm_samsara_ring *ring = (void *)t->ring[i];
	__u64 head = ring->head, tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);

	while (n-- && head - tail < t->ring_bytes)
		t->ring[i][HEADER_BYTES + (head++ & (t->ring_bytes - 1))] = *from++;
	__atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
}

/* What it does with a replay, but that a byte of the recording may be wrong. */
int op_feed(struct rng *r, struct target *t)
{
	static __thread unsigned char part[8192];
	unsigned int i, n, at, some = 1 + below(r, 8192);
	bool wrong = one_in(r, 16), end = one_in(r, 16);

	if (!is_replay(t))
		return 0;
	for (i = 0; i <= t->nr_vcpus; i++) {
		struct stream *s = &t->log.stream[i];
		__u64 head = ((struct kvm_samsara_ring *)t->ring[i])->head;

		pthread_mutex_lock(&log_lock);
		at = head < s->len ? head : s->len;
		n = s->len - at < some ? s->len - at : some;
		memcpy(part, s->bytes + at, n);
		pthread_mutex_unlock(&log_lock);
		if (wrong && n)
			spoil(r, part, n);
		write_ring(t, i, part, n);
		if (end)
			((struct kvm_samsara_ring *)t->ring[i])->flags = KVM_SAMSARA_RING_EOF;
	}
	return ctrl(t, KVM_SAMSARA_CTRL_WAKE);
}
