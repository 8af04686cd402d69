/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Could KVM have produced what a log says?
 *
 * The codec only says that bytes are a record.  What a replay takes from it and hands
 * to KVM has to be something KVM's own code can deal with: a number of bytes that an
 * in-kernel device has handled, say, is used by KVM as an offset.  While recording the
 * same functions are asked before a value is logged, so a good recording always passes.
 * `samsara verify` asks them, too.
 */
#ifndef SMR_CHECK_H
#define SMR_CHECK_H

#include "smr_codec.h"

/* Longest device access that is logged, in bytes; no instruction makes a longer one. */
#define SMR_BUS_MAX		128u

/* How KVM's in-kernel devices are reached. */
enum smr_bus {
	SMR_BUS_PIO,
	SMR_BUS_MMIO,
};

/* How they answered an access of @len bytes. */
bool smr_bus_ret_ok(enum smr_bus bus, u32 len, s32 ret);

/* What KVM returned for RDMSR or WRMSR. */
bool smr_msr_ret_ok(s32 ret);

/* What VM-entry can inject (SDM volume 3, "VM-Entry Controls for Event Injection"). */
bool smr_event_ok(const struct smr_event *event);

/* Counts that a chunk's counters can have come to. */
bool smr_position_ok(const struct smr_position *pos);

/**
 * smr_check_record - everything in a record that can be checked without its guest
 * @last_tsc: of the stream before the record; advances
 * Returns NULL, or the name of the first field that KVM can't have produced.
 */
const char *smr_check_record(const struct smr_record *r, u64 *last_tsc);

/**
 * smr_falsify - change one bit of the last value in input items that the guest gets
 * What results could have been produced by KVM, and is as long as before.  Returns
 * false, having changed nothing, if the guest gets no value from these items.
 */
bool smr_falsify(u8 *data, u32 len);

#endif /* SMR_CHECK_H */
