// SPDX-License-Identifier: GPL-2.0
/*
 * The part of samsara inside kvm.ko: what lets KVM's common code reach the
 * engine in kvm-intel.ko.
 */
#include "samsara/hooks.h"

/* Any user of /dev/kvm can turn it on and off: not more often than once a second. */
DEFINE_STATIC_KEY_DEFERRED_FALSE(kvm_samsara_key, HZ);
EXPORT_SYMBOL_GPL(kvm_samsara_key);

/* Set by kvm-intel before a VM can have vcpu->arch.samsara, cleared when none has. */
struct kvm_samsara_ops *kvm_samsara_ops;
EXPORT_SYMBOL_GPL(kvm_samsara_ops);

/* @ops and @device stay until kvm_samsara_unregister(). */
int kvm_samsara_register(struct kvm_samsara_ops *ops, const struct kvm_device_ops *device)
{
	kvm_samsara_ops = ops;
	return kvm_register_device_ops(device, KVM_DEV_TYPE_SAMSARA);
}
EXPORT_SYMBOL_GPL(kvm_samsara_register);

void kvm_samsara_unregister(void)
{
	kvm_unregister_device_ops(KVM_DEV_TYPE_SAMSARA);
	kvm_samsara_ops = NULL;
	static_key_deferred_flush(&kvm_samsara_key);
}
EXPORT_SYMBOL_GPL(kvm_samsara_unregister);
