// SPDX-License-Identifier: GPL-2.0
/*
 * Log rings shared with user space.  The header page is writable by user
 * space, so nothing read from it is trusted: our own side's position and the
 * size are kept privately, and the other side's position is checked.
 */
#include "ring.h"
#include "samsara.h"

void samsara_ring_init(struct samsara_ring *ring, void *area, u32 size)
{
	ring->hdr = area;
	ring->data = area + PAGE_SIZE;
	ring->size = size;
	ring->hdr->size = size;
}

/* Recording: bytes the kernel may still put. */
u32 samsara_ring_space(struct samsara_ring *ring)
{
	/* Pairs with the consumer's release: its reads of the data are done. */
	u64 used = ring->pos - smp_load_acquire(&ring->hdr->tail);

	return used > ring->size ? 0 : ring->size - used;
}

int samsara_ring_put(struct samsara_ring *ring, const u8 *p, u32 len)
{
	u32 off = ring->pos & (ring->size - 1);
	u32 first = min(len, ring->size - off);

	if (samsara_ring_space(ring) < len)
		return -ENOSPC;
	memcpy(ring->data + off, p, first);
	memcpy(ring->data, p + first, len - first);
	ring->pos += len;
	/* The record before the head: user space reads whole records only. */
	smp_store_release(&ring->hdr->head, ring->pos);
	return 0;
}

static void ring_copy(struct samsara_ring *ring, u8 *to, u32 len)
{
	u32 off = ring->pos & (ring->size - 1);
	u32 first = min(len, ring->size - off);

	memcpy(to, ring->data + off, first);
	memcpy(to + first, ring->data, len - first);
}

/* Length of the next record; 0 if it is not complete, -EBADMSG if it can't be one. */
static int record_len(struct samsara_ring *ring, u32 avail)
{
	u8 hdr[SMR_HEADER_MAX];
	struct smr_cursor c = { .p = hdr, .end = hdr + min_t(u32, avail, sizeof(hdr)) };
	u64 payload;

	ring_copy(ring, hdr, c.end - c.p);
	smr_get_u8(&c);
	payload = smr_get_varint(&c);
	if (c.bad)
		return avail >= sizeof(hdr) ? -EBADMSG : 0;
	if (payload > SMR_RECORD_MAX - (c.p - hdr))
		return -EBADMSG;
	payload += c.p - hdr;
	return payload <= avail ? payload : 0;
}

/*
 * Replay: take the next record.  Returns 1 and the record, whose data points
 * into @scratch (SMR_RECORD_MAX bytes); 0 if user space has to add data first;
 * -ENODATA at the end of the stream; -EBADMSG.
 */
int samsara_ring_get(struct samsara_ring *ring, struct smr_stream *stream, u8 *scratch,
		     struct smr_record *rec)
{
	u32 eof, avail;
	u64 head;
	int len;

	/* Flags before head: EOF is set after the last head moved. */
	eof = smp_load_acquire(&ring->hdr->flags) & KVM_SAMSARA_RING_EOF;
	/* Pairs with the producer's release. */
	head = smp_load_acquire(&ring->hdr->head);
	ring->seen = head;
	if (head - ring->pos > ring->size)
		return -EBADMSG;
	avail = head - ring->pos;
	if (!avail)
		return eof ? -ENODATA : 0;

	/* Copied before it is checked: user space may change the ring any time. */
	len = record_len(ring, avail);
	if (len <= 0)
		return len < 0 || eof ? -EBADMSG : 0;
	ring_copy(ring, scratch, len);
	if (smr_peek(scratch, len) != len)
		return -EBADMSG;
	if (smr_decode(stream, scratch, len, rec))
		return -EBADMSG;
	ring->pos += len;
	/* Our reads are done; user space may overwrite. */
	smp_store_release(&ring->hdr->tail, ring->pos);
	return 1;
}

/* Replay: has user space added anything since samsara_ring_get() found no whole record? */
bool samsara_ring_has_news(struct samsara_ring *ring)
{
	return READ_ONCE(ring->hdr->head) != ring->seen ||
	       READ_ONCE(ring->hdr->flags) & KVM_SAMSARA_RING_EOF;
}

/*
 * Replay: is user space to add something, so that nobody has to wait for it?  Now and then
 * only: its thread may run on the processor on which the next commit is to be done.
 */
bool samsara_ring_runs_low(struct samsara_ring *ring)
{
	if (READ_ONCE(ring->hdr->head) - ring->pos >= ring->size / 2 ||
	    READ_ONCE(ring->hdr->flags) & KVM_SAMSARA_RING_EOF ||
	    ring->pos - ring->asked < ring->size / 8)
		return false;
	ring->asked = ring->pos;
	return true;
}
