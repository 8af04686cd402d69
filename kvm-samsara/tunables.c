// SPDX-License-Identifier: GPL-2.0
/*
 * What can be set: in /sys/kernel/samsara/ for VMs made after that, one value per
 * file, and for one VM with KVM_SAMSARA_GRP_TUNABLE before it starts.
 * Documentation/sysfs-kernel-samsara describes each.
 */
#include <linux/kobject.h>
#include <linux/sysfs.h>

#include "samsara.h"
#include "tunables.h"

static struct samsara_tunables defaults = {
	.chunk_limit = 400000,
	.chunk_min = 10000,
	.chunk_adaptive = 1,
	.rollback_limit = 4,
	.max_copies = SAMSARA_MAX_COPIES / 2,
	.copy_age = 64,
	.compare = 1,
	.memdigest_interval = 1024,
	.serial_slice_us = 2000,
	.adaptive = 1,
	.landing_breakpoint = 1,
	.find_spins = 1,
};

#define TUNABLE(_index, _name, _min, _max)					\
	[KVM_SAMSARA_TUNABLE_##_index] = {					\
		.name = #_name,							\
		.offset = offsetof(struct samsara_tunables, _name),		\
		.min = _min,							\
		.max = _max,							\
	}

static const struct {
	const char *name;
	size_t offset;
	u64 min, max;
} tunables[] = {
	TUNABLE(CHUNK_LIMIT, chunk_limit, 256, 1ull << 32),
	TUNABLE(CHUNK_MIN, chunk_min, 256, 1ull << 32),
	TUNABLE(CHUNK_ADAPTIVE, chunk_adaptive, 0, 1),
	TUNABLE(ROLLBACK_LIMIT, rollback_limit, 1, 1000),
	TUNABLE(MAX_COPIES, max_copies, 16, SAMSARA_MAX_COPIES / 2),
	TUNABLE(COPY_AGE, copy_age, 0, 1u << 20),
	TUNABLE(COMPARE, compare, 0, 1),
	TUNABLE(MEMDIGEST_INTERVAL, memdigest_interval, 1, 1u << 20),
	TUNABLE(SERIAL_SLICE_US, serial_slice_us, 50, 1000000),
	TUNABLE(ADAPTIVE, adaptive, 0, 1),
	TUNABLE(LANDING_BREAKPOINT, landing_breakpoint, 0, 1),
	TUNABLE(CHAOS, chaos, 0, 10),
	TUNABLE(SEED, seed, 0, U32_MAX),
	TUNABLE(REPLAY_CHECK, replay_check, 0, 1),
	TUNABLE(FIND_SPINS, find_spins, 0, 1),
};

static u64 *value_of(struct samsara_tunables *tune, u64 index)
{
	return (void *)tune + tunables[index].offset;
}

void samsara_tunables_default(struct samsara_tunables *tune)
{
	u64 i;

	for (i = 0; i < ARRAY_SIZE(tunables); i++)
		*value_of(tune, i) = READ_ONCE(*value_of(&defaults, i));
}

/* -ENXIO: there is none with that number. */
int samsara_tunable_set(struct samsara_tunables *tune, u64 index, u64 value)
{
	if (index >= ARRAY_SIZE(tunables))
		return -ENXIO;
	if (value < tunables[index].min || value > tunables[index].max)
		return -EINVAL;
	WRITE_ONCE(*value_of(tune, index), value);
	return 0;
}

int samsara_tunable_get(struct samsara_tunables *tune, u64 index, u64 *value)
{
	if (index >= ARRAY_SIZE(tunables))
		return -ENXIO;
	*value = READ_ONCE(*value_of(tune, index));
	return 0;
}

static struct kobject *samsara_kobj;
static struct kobj_attribute files[ARRAY_SIZE(tunables)];
static struct attribute *attrs[ARRAY_SIZE(tunables) + 1];
static const struct attribute_group group = { .attrs = attrs };

static ssize_t show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	u64 value;
	int r;

	r = samsara_tunable_get(&defaults, attr - files, &value);
	return r ?: sysfs_emit(buf, "%llu\n", value);
}

static ssize_t store(struct kobject *kobj, struct kobj_attribute *attr, const char *buf,
		     size_t count)
{
	u64 value;
	int r;

	r = kstrtou64(buf, 0, &value);
	r = r ?: samsara_tunable_set(&defaults, attr - files, value);
	return r ?: count;
}

int samsara_sysfs_init(void)
{
	int i, r;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		sysfs_attr_init(&files[i].attr);
		files[i].attr.name = tunables[i].name;
		files[i].attr.mode = 0644;
		files[i].show = show;
		files[i].store = store;
		attrs[i] = &files[i].attr;
	}
	samsara_kobj = kobject_create_and_add("samsara", kernel_kobj);
	if (!samsara_kobj)
		return -ENOMEM;
	r = sysfs_create_group(samsara_kobj, &group);
	if (r)
		samsara_sysfs_exit();
	return r;
}

void samsara_sysfs_exit(void)
{
	kobject_put(samsara_kobj);
	samsara_kobj = NULL;
}
