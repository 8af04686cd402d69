/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The log: records of one stream (a vCPU's, or the VM's), as bytes.
 *
 * A stream is a sequence of records: type (1 byte), payload length (varint),
 * payload.  Numbers are varints (LEB128, at most 10 bytes, shortest form);
 * signed differences are zigzag-coded first.  Fields that grow slowly are
 * stored as the difference from the previous record of the same stream, kept
 * in struct smr_stream; encoder and decoder keep the same state.
 * Documentation/log-format.rst holds the byte tables.
 *
 * The decoder treats its input as hostile: every length is checked, no value
 * is trusted to be in range of anything but its own type.
 */
#ifndef SMR_CODEC_H
#define SMR_CODEC_H

#include "smr_port.h"

enum smr_type {
	SMR_CHUNK	= 1,	/* a committed chunk (vCPU streams) */
	SMR_SECTION	= 2,	/* KVM's own work on behalf of the vCPU: an exit or I/O completion */
	SMR_DMA		= 3,	/* a write to guest memory by a device model (VM stream) */
	SMR_VCPU_END	= 4,	/* last record of a vCPU stream */
	SMR_VM_START	= 5,	/* first record of the VM stream */
	SMR_VM_END	= 6,	/* last record of the VM stream */
	SMR_MAP		= 7,	/* the memory map has changed (VM stream) */
	SMR_STATE	= 8,	/* user space has set the vCPU's state (vCPU streams) */
	SMR_DMA_REF	= 9,	/* DMA of what is in a disk image; in files only (VM stream) */
};

/* smr_chunk.flags */
#define SMR_F_EVENT		0x01	/* an event is injected at the start */
#define SMR_F_INIT		0x02	/* INIT reset before the start */
#define SMR_F_SIPI		0x04	/* start-up IPI before the start (after INIT if both) */
#define SMR_F_MEMDIGEST		0x08	/* mem_digest is present */
#define SMR_F_RCX		0x10	/* CHUNK with SMR_END_ASYNC: see below */
#define SMR_F_WAS_READABLE		0x20	/* CHUNK with SMR_END_TOUCH: the page could be read */
#define SMR_F_ALL		0x3f

/*
 * How a chunk ended: a VMX basic exit reason.  SMR_END_ASYNC (external
 * interrupt) stands for every end the guest did not cause itself: it is named
 * by its position.  With SMR_F_RCX this has RCX, because iterations of a REP may
 * have been done, or an instruction breakpoint there would not fire.
 * SMR_END_TOUCH, which is no exit reason: an EPT violation on a page that was
 * withheld from the chunk; with SMR_F_WAS_READABLE on one that could only be read, where
 * page walks that set no flag count as reads.
 */
#define SMR_END_ASYNC		1
#define SMR_END_TOUCH		256

/* Kinds of input items, in smr_inputs. */
enum smr_input {
	SMR_IN_TSC	= 1,	/* RDTSC, RDTSCP: zigzag difference from the stream's last one */
	SMR_IN_BUS	= 2,	/* answer of KVM's in-kernel devices: u8 1, u8 len, data */
	SMR_IN_USER	= 3,	/* data of a PIO/MMIO read from user space: varint len, data */
	SMR_IN_RDMSR	= 4,	/* zigzag return value, varint data */
	SMR_IN_WRMSR	= 5,	/* zigzag return value */
};

#define SMR_INPUT_MAX		4096u	/* longest data of one item */
#define SMR_RECORD_MAX		(128u * 1024)	/* longest record, header included */
#define SMR_HEADER_MAX		11u	/* type and length */
#define SMR_STATE_MAX		65536u	/* longest state of a vCPU */
#define SMR_DMA_MAX		65536u	/* longest write of a device */
#define SMR_MAX_IMAGES		64u

struct smr_position {
	u64 branches;		/* conditional branches retired since the chunk's start */
	u64 jumps;		/* near branches taken; tells iterations of a loop without conditionals apart */
	u64 rip;
	u64 rcx;
};

struct smr_event {
	u32 intr_info;		/* VM-entry interruption information */
	u32 error_code;		/* present if bit 11 of intr_info */
	u32 insn_len;		/* present for software events (type 4, 5, 6) */
	u64 aux;		/* CR2 for #PF, DR6 for #DB, else absent */
};

/* One decoded record.  Fields that don't belong to the type are zero. */
struct smr_record {
	u8 type;		/* enum smr_type */
	u8 sipi_vector;
	u16 end;		/* CHUNK: exit reason */
	u32 flags;		/* of a commit: SMR_F_* */
	u32 digest;		/* low half of the vCPU's digest chain; DMA_REF: CRC32C of the bytes */
	u32 dma_len;		/* DMA, DMA_REF: bytes written; DMA: equals data_len */
	u32 image;		/* DMA_REF: number of the image */
	u64 image_offset;	/* DMA_REF: where in it */
	u64 commit_seq;		/* of a commit; VM_END: number of commits */
	u64 start_seq;		/* CHUNK: every commit <= it was published at the start */
	struct smr_position pos;	/* CHUNK with SMR_END_ASYNC */
	struct smr_event event;
	u64 mem_digest;		/* SMR_F_MEMDIGEST; VM_START, VM_END always */
	u64 chain;		/* VCPU_END: whole digest chain */
	u64 state_digest;	/* VCPU_END: digest of the complete vCPU state */
	u64 gpa;		/* CHUNK with SMR_END_TOUCH: of the page; DMA, DMA_REF: RAM address */
	const u8 *data;		/* input items, DMA bytes, slots or state, in the caller's buffer */
	u32 data_len;
};

/*
 * A slot of the memory map: where guest memory is in the guest's physical address space.
 * A RAM address names a page of it wherever it is, or if it is nowhere.
 */
struct smr_slot {
	u64 gpa;
	u64 size;		/* bytes; all are multiples of the page size */
	u64 ram;		/* RAM address of its first byte */
	bool readonly;		/* the guest's writes are MMIO */
};

#define SMR_SLOT_BYTES		24u
#define SMR_MAX_SLOTS		32u

/* Coding state of a stream.  Zeroed at its beginning. */
struct smr_stream {
	u64 commit_seq;
	u64 branches;	/* sums over the last positions, see expected_jumps() */
	u64 jumps;
	u64 tsc;
};

/* Appends to a buffer; sets `full` instead of overrunning it. */
struct smr_buf {
	u8 *p;
	u32 len;
	u32 size;
	bool full;
};

void smr_put_u8(struct smr_buf *b, u8 v);
void smr_put_bytes(struct smr_buf *b, const void *p, u32 len);
void smr_put_varint(struct smr_buf *b, u64 v);
void smr_put_zigzag(struct smr_buf *b, s64 v);

/* Reads from a buffer; sets `bad` instead of reading past it. */
struct smr_cursor {
	const u8 *p;
	const u8 *end;
	bool bad;
};

u8 smr_get_u8(struct smr_cursor *c);
const u8 *smr_get_bytes(struct smr_cursor *c, u32 len);
u64 smr_get_varint(struct smr_cursor *c);
s64 smr_get_zigzag(struct smr_cursor *c);

/**
 * smr_encode - append one record to a buffer
 * Returns 0; -ENOSPC if it does not fit or exceeds SMR_RECORD_MAX; -EINVAL for
 * an unknown type or flag, a commit_seq that does not grow, a start_seq not
 * below it.  @s and @b change on success only.
 */
int smr_encode(struct smr_stream *s, const struct smr_record *r, struct smr_buf *b);

/**
 * smr_peek - length of the record at the start of a buffer
 * Returns its whole length; 0 if @len bytes don't hold it all; -EBADMSG if no
 * record can start like this.
 */
int smr_peek(const u8 *p, u32 len);

/**
 * smr_decode - decode the record at the start of a buffer
 * @len: what smr_peek() returned
 * Returns 0 or -EBADMSG.  @s advances on success only.
 */
int smr_decode(struct smr_stream *s, const u8 *p, u32 len, struct smr_record *r);

bool smr_is_commit(u8 type);

/* The slots of a MAP. */
void smr_put_slot(struct smr_buf *b, const struct smr_slot *slot);
/* Returns 1 and the next slot, 0 at the end, -EBADMSG. */
int smr_next_slot(struct smr_cursor *c, struct smr_slot *slot);

/*
 * Input items: written during a chunk or section, read back in order.  One that
 * does not fit (or is longer than SMR_INPUT_MAX) sets `full` and leaves the
 * bytes before it as they were.
 */
void smr_in_tsc(struct smr_buf *b, u64 *last_tsc, u64 tsc);
void smr_in_bus(struct smr_buf *b, const void *data, u8 len);
void smr_in_user(struct smr_buf *b, const void *data, u32 len);
void smr_in_rdmsr(struct smr_buf *b, int ret, u64 data);
void smr_in_wrmsr(struct smr_buf *b, int ret);

struct smr_item {
	u8 kind;		/* enum smr_input */
	s32 ret;		/* RDMSR, WRMSR */
	u32 len;		/* BUS, USER */
	u64 value;		/* TSC, RDMSR */
	const u8 *data;		/* BUS, USER */
};

/* Returns 1 and the next item, 0 at the end, -EBADMSG. */
int smr_next_item(struct smr_cursor *c, u64 *last_tsc, struct smr_item *item);

const char *smr_type_name(u8 type);
const char *smr_end_name(u16 end);	/* VMX exit reason in words */
const char *smr_div_name(u32 div_field);	/* KVM_SAMSARA_DIV_* in words */

#endif /* SMR_CODEC_H */
