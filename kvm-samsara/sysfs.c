// SPDX-License-Identifier: GPL-2.0
/*
 * /sys/kernel/samsara/: settings of all VMs.  chunk_limit is taken over when a VM
 * is configured, the others at once.
 * Documentation/sysfs-kernel-samsara describes each file.
 */
#include <linux/kobject.h>
#include <linux/sysfs.h>

#include "samsara.h"

struct samsara_tunables samsara_tunables = {
	.chunk_limit = 50000,
	.rollback_limit = 4,
	.max_copies = SAMSARA_MAX_COPIES / 2,
	.memdigest_interval = 256,
	.landing_breakpoint = 1,
	.serial_slice_us = 2000,
	.adaptive = 1,
};

static struct kobject *samsara_kobj;

struct tunable {
	struct kobj_attribute attr;
	u64 *value;
	u64 min, max;
};

static ssize_t tunable_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct tunable *t = container_of(attr, struct tunable, attr);

	return sysfs_emit(buf, "%llu\n", READ_ONCE(*t->value));
}

static ssize_t tunable_store(struct kobject *kobj, struct kobj_attribute *attr,
			     const char *buf, size_t count)
{
	struct tunable *t = container_of(attr, struct tunable, attr);
	u64 value;
	int r;

	r = kstrtou64(buf, 0, &value);
	if (r)
		return r;
	if (value < t->min || value > t->max)
		return -EINVAL;
	WRITE_ONCE(*t->value, value);
	return count;
}

#define TUNABLE(_name, _min, _max)						\
static struct tunable tunable_##_name = {					\
	.attr = __ATTR(_name, 0644, tunable_show, tunable_store),		\
	.value = &samsara_tunables._name,					\
	.min = _min,								\
	.max = _max,								\
}

TUNABLE(chunk_limit, SAMSARA_CHUNK_LIMIT_MIN, SAMSARA_CHUNK_LIMIT_MAX);
TUNABLE(rollback_limit, 1, 1000);
TUNABLE(max_copies, 16, SAMSARA_MAX_COPIES / 2);
TUNABLE(landing_breakpoint, 0, 1);
TUNABLE(memdigest_interval, 1, 1u << 20);
TUNABLE(serial_slice_us, 50, 1000000);
TUNABLE(adaptive, 0, 1);

static struct attribute *samsara_attrs[] = {
	&tunable_chunk_limit.attr.attr,
	&tunable_rollback_limit.attr.attr,
	&tunable_max_copies.attr.attr,
	&tunable_memdigest_interval.attr.attr,
	&tunable_landing_breakpoint.attr.attr,
	&tunable_serial_slice_us.attr.attr,
	&tunable_adaptive.attr.attr,
	NULL,
};

static const struct attribute_group samsara_group = {
	.attrs = samsara_attrs,
};

int samsara_sysfs_init(void)
{
	int r;

	samsara_kobj = kobject_create_and_add("samsara", kernel_kobj);
	if (!samsara_kobj)
		return -ENOMEM;
	r = sysfs_create_group(samsara_kobj, &samsara_group);
	if (r)
		kobject_put(samsara_kobj);
	return r;
}

void samsara_sysfs_exit(void)
{
	kobject_put(samsara_kobj);
}
