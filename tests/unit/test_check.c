// SPDX-License-Identifier: GPL-2.0
/* core/smr_check: what KVM could have produced, and what it could not. */
#include "test.h"

#include <errno.h>

#include "smr_check.h"

static void test_bus(void **state)
{
	(void)state;
	assert_true(smr_bus_ret_ok(SMR_BUS_PIO, 4, 0));
	assert_true(smr_bus_ret_ok(SMR_BUS_PIO, 4, -EOPNOTSUPP));
	assert_false(smr_bus_ret_ok(SMR_BUS_PIO, 4, 1));
	assert_false(smr_bus_ret_ok(SMR_BUS_PIO, 4, -1));
	assert_true(smr_bus_ret_ok(SMR_BUS_MMIO, 4, 0));
	assert_true(smr_bus_ret_ok(SMR_BUS_MMIO, 4, 4));
	assert_false(smr_bus_ret_ok(SMR_BUS_MMIO, 4, 5));
	assert_false(smr_bus_ret_ok(SMR_BUS_MMIO, 4, -4096));
	assert_false(smr_bus_ret_ok(SMR_BUS_MMIO, 4, -EOPNOTSUPP));
	assert_false(smr_bus_ret_ok(SMR_BUS_MMIO, 4, INT32_MIN));
}

static void test_msr(void **state)
{
	(void)state;
	assert_true(smr_msr_ret_ok(0));
	assert_true(smr_msr_ret_ok(1));
	assert_true(smr_msr_ret_ok(3));
	assert_false(smr_msr_ret_ok(4));
	assert_false(smr_msr_ret_ok(-1));
}

static const struct {
	struct smr_event event;
	bool ok;
} events[] = {
	{ { .intr_info = 0x80000000 }, true },			/* an interrupt */
	{ { .intr_info = 0x800000ff }, true },
	{ { .intr_info = 0x000000ff }, false },			/* not valid */
	{ { .intr_info = 0x800010ec }, false },			/* reserved bits */
	{ { .intr_info = 0xc00000ec }, false },
	{ { .intr_info = 0x800008ec }, false },			/* with an error code */
	{ { .intr_info = 0x80000102 }, false },			/* types that are none */
	{ { .intr_info = 0x80000501 }, false },
	{ { .intr_info = 0x80000700 }, false },
	{ { .intr_info = 0x80000202 }, true },			/* NMI */
	{ { .intr_info = 0x80000203 }, false },
	{ { .intr_info = 0x80000302 }, false },			/* not an exception */
	{ { .intr_info = 0x80000320 }, false },
	{ { .intr_info = 0x80000b0e, .error_code = 7, .aux = ~0ull }, true },
	{ { .intr_info = 0x80000b0e, .error_code = 0x10000 }, false },
	{ { .intr_info = 0x80000b06 }, false },			/* #UD has no error code */
	{ { .intr_info = 0x80000301, .aux = 0xffffffff }, true },
	{ { .intr_info = 0x80000301, .aux = 0x100000000 }, false },
	{ { .intr_info = 0x80000480, .insn_len = 2 }, true },	/* INT n */
	{ { .intr_info = 0x80000480, .insn_len = 0 }, false },
	{ { .intr_info = 0x80000480, .insn_len = 16 }, false },
	{ { .intr_info = 0x80000603, .insn_len = 1 }, true },	/* INT3 */
	{ { .intr_info = 0x80000601, .insn_len = 1 }, false },
};

static void test_event(void **state)
{
	u32 i;

	(void)state;
	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (smr_event_ok(&events[i].event) != events[i].ok)
			fail_msg("event 0x%x", events[i].event.intr_info);
	}
}

/* What is wrong with a record that has the inputs in @b. */
static const char *wrong(u8 type, const struct smr_buf *b)
{
	struct smr_record r = { .type = type, .data = b->p, .data_len = b->len };
	u64 tsc = 5;

	return smr_check_record(&r, &tsc);
}

static void assert_wrong(u8 type, struct smr_buf *b, const char *field)
{
	const char *found = wrong(type, b);

	if (field ? !found || strcmp(found, field) : !!found)
		fail_msg("found %s, not %s", found ? found : "nothing", field ? field : "nothing");
	b->len = 0;
}

static void put_bus(struct smr_buf *b, s32 ret, u8 more)
{
	u8 data[256] = { 0 };

	memcpy(data, &ret, sizeof(ret));
	smr_in_bus(b, data, (u8)(sizeof(ret) + more));
}

static void test_inputs(void **state)
{
	u8 bytes[1024];
	struct smr_buf b = { .p = bytes, .size = sizeof(bytes) };
	u64 tsc = 0;

	(void)state;
	assert_wrong(SMR_CHUNK, &b, NULL);
	smr_in_tsc(&b, &tsc, 10);
	assert_wrong(SMR_CHUNK, &b, NULL);
	smr_in_tsc(&b, &tsc, 10);
	assert_wrong(SMR_SECTION, &b, "input");
	put_bus(&b, 0, 4);
	assert_wrong(SMR_CHUNK, &b, "input");
	put_bus(&b, 0, 4);
	put_bus(&b, -EOPNOTSUPP, 0);
	put_bus(&b, 128, 128);
	assert_wrong(SMR_SECTION, &b, NULL);
	put_bus(&b, 0, 4);
	put_bus(&b, -4096, 4);
	assert_wrong(SMR_SECTION, &b, "bus result");
	put_bus(&b, 129, 4);
	assert_wrong(SMR_SECTION, &b, "bus result");
	put_bus(&b, 0, 129);
	assert_wrong(SMR_SECTION, &b, "bus result");
	smr_in_bus(&b, bytes, 3);
	assert_wrong(SMR_SECTION, &b, "bus result");
	smr_in_user(&b, "x", 1);
	assert_wrong(SMR_SECTION, &b, NULL);
	smr_in_user(&b, "x", 0);
	assert_wrong(SMR_SECTION, &b, "length of user I/O");
	smr_in_rdmsr(&b, 1, 0);
	smr_in_wrmsr(&b, 0);
	assert_wrong(SMR_SECTION, &b, NULL);
	smr_in_rdmsr(&b, -4096, 0);
	assert_wrong(SMR_SECTION, &b, "MSR result");
	smr_in_wrmsr(&b, 4);
	assert_wrong(SMR_SECTION, &b, "MSR result");
	smr_put_u8(&b, 99);
	assert_wrong(SMR_SECTION, &b, "input");
}

/* Falsifies what is in the buffer, which must still pass, and empties it. */
static void assert_falsified(u8 type, struct smr_buf *b, u32 at, u8 bit)
{
	u8 before[1024];
	u32 len = b->len;

	memcpy(before, b->p, len);
	assert_true(smr_falsify(b->p, b->len));
	before[at] ^= bit;
	assert_memory_equal(b->p, before, len);
	assert_wrong(type, b, NULL);
}

static void test_falsify(void **state)
{
	u8 bytes[1024];
	struct smr_buf b = { .p = bytes, .size = sizeof(bytes) };
	u64 tsc = 0;

	(void)state;
	assert_false(smr_falsify(b.p, 0));
	put_bus(&b, -EOPNOTSUPP, 0);
	smr_in_wrmsr(&b, 0);
	smr_in_rdmsr(&b, 1, 0);
	assert_false(smr_falsify(b.p, b.len));
	b.len = 0;
	put_bus(&b, 8, 8);
	put_bus(&b, 8, 0);
	assert_falsified(SMR_SECTION, &b, 3 + 4 + 7, 1);
	put_bus(&b, -EOPNOTSUPP, 1);
	smr_in_user(&b, "xy", 2);
	assert_falsified(SMR_SECTION, &b, 3 + 4 + 1 + 2 + 1, 1);
	smr_in_rdmsr(&b, 0, 1ull << 40);
	assert_falsified(SMR_SECTION, &b, 2, 1);
	smr_in_tsc(&b, &tsc, 1ull << 40);
	assert_falsified(SMR_CHUNK, &b, 1, 2);
	smr_in_tsc(&b, &tsc, 1ull << 40);
	assert_falsified(SMR_CHUNK, &b, 1, 2);
}

static void test_dma(void **state)
{
	struct smr_record r = { .type = SMR_DMA, .gpa = 0x1000, .dma_len = 1 };
	u64 tsc = 0;

	(void)state;
	assert_null(smr_check_record(&r, &tsc));
	r.gpa = U64_MAX;
	assert_string_equal(smr_check_record(&r, &tsc), "address");
	r.gpa = 0;
	r.dma_len = 0;
	assert_string_equal(smr_check_record(&r, &tsc), "address");
	r.type = SMR_VM_END;
	assert_null(smr_check_record(&r, &tsc));
}

static void test_state(void **state)
{
	struct smr_record r = { .type = SMR_STATE };
	u64 tsc = 0;

	(void)state;
	assert_string_equal(smr_check_record(&r, &tsc), "state");
	r.data_len = 1;
	assert_null(smr_check_record(&r, &tsc));
	r.data_len = SMR_STATE_MAX;
	assert_null(smr_check_record(&r, &tsc));
	r.data_len++;
	assert_string_equal(smr_check_record(&r, &tsc), "state");
}

static void test_reference(void **state)
{
	const struct smr_record good = {
		.type = SMR_DMA_REF, .gpa = 0x1000, .dma_len = SMR_DMA_MAX,
		.image = SMR_MAX_IMAGES - 1, .image_offset = 1,
	};
	struct smr_record r = good;
	u64 tsc = 0;

	(void)state;
	assert_null(smr_check_record(&r, &tsc));
	r.dma_len++;
	assert_string_equal(smr_check_record(&r, &tsc), "reference");
	r.dma_len = 0;
	assert_string_equal(smr_check_record(&r, &tsc), "reference");
	r = good;
	r.image++;
	assert_string_equal(smr_check_record(&r, &tsc), "reference");
	r = good;
	r.image_offset = U64_MAX;
	assert_string_equal(smr_check_record(&r, &tsc), "reference");
	r = good;
	r.gpa = U64_MAX;
	assert_string_equal(smr_check_record(&r, &tsc), "reference");
}

/* What smr_check_record() says of these slots */
static const char *wrong_map(const struct smr_slot *slots, u32 nr)
{
	u8 bytes[(SMR_MAX_SLOTS + 1) * SMR_SLOT_BYTES];
	struct smr_buf b = { .p = bytes, .size = sizeof(bytes) };
	struct smr_record r = { .type = SMR_MAP, .data = bytes };
	u64 tsc = 0;
	u32 i;

	for (i = 0; i < nr; i++)
		smr_put_slot(&b, &slots[i]);
	r.data_len = b.len;
	return smr_check_record(&r, &tsc);
}

static void test_map(void **state)
{
	struct smr_slot slots[SMR_MAX_SLOTS + 1];
	struct smr_slot *s = &slots[1];
	const struct smr_slot good = { 0x1000, 0x2000, 0x7000, true };
	u32 i;

	(void)state;
	for (i = 0; i <= SMR_MAX_SLOTS; i++)
		slots[i] = (struct smr_slot){ i * 0x10000ull, 0x10000, 0x40000, i & 1 };
	assert_null(wrong_map(slots, 0));
	assert_null(wrong_map(slots, SMR_MAX_SLOTS));
	assert_string_equal(wrong_map(slots, SMR_MAX_SLOTS + 1), "memory map");
	*s = good;
	assert_null(wrong_map(s, 1));
	s->gpa++;
	assert_string_equal(wrong_map(s, 1), "memory map");
	*s = good;
	s->size = 0;
	assert_string_equal(wrong_map(s, 1), "memory map");
	s->size = 0x1800;
	assert_string_equal(wrong_map(s, 1), "memory map");
	*s = good;
	s->ram = 0x10;
	assert_string_equal(wrong_map(s, 1), "memory map");
	s->ram = -0x1000ull;
	assert_string_equal(wrong_map(s, 1), "memory map");
	*s = good;
	s->gpa = -0x1000ull;
	assert_string_equal(wrong_map(s, 1), "memory map");
	/* Two that overlap, and two that only meet. */
	*s = good;
	slots[0] = (struct smr_slot){ 0x2000, 0x1000, 0, false };
	assert_string_equal(wrong_map(slots, 2), "memory map");
	slots[0].gpa = 0x3000;
	assert_null(wrong_map(slots, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bus),
		cmocka_unit_test(test_msr),
		cmocka_unit_test(test_event),
		cmocka_unit_test(test_inputs),
		cmocka_unit_test(test_falsify),
		cmocka_unit_test(test_dma),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_reference),
		cmocka_unit_test(test_map),
	};

	return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
