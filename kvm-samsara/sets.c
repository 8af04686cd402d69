// SPDX-License-Identifier: GPL-2.0
/*
 * Which pages a chunk of a replay has read and written, for people who ask: of the commit at
 * which the replay pauses.
 *
 * The flags of the EPT that the chunk runs on are clear when it begins, and are there at its
 * end, before its pages are published.  The processor's walks of the
 * guest's page tables count: those pages have both flags set, whether they were changed or not.
 */
#include <linux/mm.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "ept.h"
#include "map.h"
#include "memory.h"
#include "samsara.h"
#include "sets.h"

void samsara_sets_init(struct samsara_vm *vm)
{
	mutex_init(&vm->sets.lock);
}

static void forget(struct samsara_sets *sets)
{
	vfree(sets->pages);
	sets->pages = NULL;
	sets->nr = 0;
	sets->room = 0;
	WRITE_ONCE(sets->commit, 0);
	sets->noted = false;
	sets->error = 0;
}

/* Nobody uses it any more. */
void samsara_sets_free(struct samsara_vm *vm)
{
	forget(&vm->sets);
}

/* When the chunk with this number is replayed, it takes the place of what was noted before. */
void samsara_sets_want(struct samsara_vm *vm, u64 commit)
{
	WRITE_ONCE(vm->sets.wanted, commit);
}

static void count_leaf(struct samsara_vcpu *sv, u64 *sptep, gfn_t gfn)
{
	sv->vm->sets.room++;
}

static void put_leaf(struct samsara_vcpu *sv, u64 *sptep, gfn_t gfn)
{
	struct samsara_page *sp = samsara_gfn_to_page(sv->vm, gfn, NULL);
	struct samsara_sets *sets = &sv->vm->sets;

	/* The EPT is for the map as it is, and nobody but this vCPU changes it. */
	if (KVM_BUG_ON(!sp || sets->nr == sets->room, sv->vm->kvm))
		return;
	sets->pages[sets->nr++] = (sp->ram << PAGE_SHIFT) |
				  (*sptep & EPT_D ? KVM_SAMSARA_SETS_WRITTEN : 0);
}

/* Those of the EPT in use, behind those that are there. */
static int add_pages(struct samsara_vcpu *sv, struct samsara_sets *sets)
{
	u64 *pages;

	if (sv->ad_off)
		return -EOPNOTSUPP;
	sets->room = sets->nr;
	samsara_ept_walk(sv, false, count_leaf);
	if (sets->room == sets->nr)
		return 0;
	pages = __vmalloc_array(sets->room, sizeof(*pages), SAMSARA_GFP_LARGE);
	if (!pages)
		return -ENOMEM;
	memcpy(pages, sets->pages, sets->nr * sizeof(*pages));
	vfree(sets->pages);
	sets->pages = pages;
	samsara_ept_walk(sv, false, put_leaf);
	return 0;
}

/*
 * The chunk is about to begin, at its turn if it runs on memory itself.  What chunks before it
 * have left in the flags of the EPT must be gone.
 */
void samsara_sets_begin(struct samsara_vcpu *sv)
{
	struct samsara_sets *sets = &sv->vm->sets;

	if (likely(READ_ONCE(sets->wanted) != sv->rec.commit_seq))
		return;
	if (sv->ept == &sv->direct)
		samsara_ept_note_at_turn(sv->vm, sv->vm->replay.done);
	mutex_lock(&sets->lock);
	forget(sets);
	WRITE_ONCE(sets->commit, sv->rec.commit_seq);
	sets->vcpu = sv->id;
	mutex_unlock(&sets->lock);
}

/*
 * The chunk is at its end, or goes on with another EPT, and its flags are there.  If they were
 * cleared already, since this is tried again, nothing is added.
 */
void samsara_sets_note(struct samsara_vcpu *sv)
{
	struct samsara_sets *sets = &sv->vm->sets;

	if (likely(READ_ONCE(sets->commit) != sv->rec.commit_seq))
		return;
	mutex_lock(&sets->lock);
	sets->noted = true;
	if (!sets->error)
		sets->error = add_pages(sv, sets);
	mutex_unlock(&sets->lock);
}

static int copy_sets(const struct samsara_sets *sets, struct kvm_samsara_sets *request)
{
	u32 room = request->nr;

	if (sets->error)
		return sets->error;
	if (!sets->noted)
		return -ENODATA;
	request->commit = sets->commit;
	request->vcpu = sets->vcpu;
	request->nr = sets->nr;
	if (room < sets->nr)
		return -E2BIG;
	return copy_to_user(u64_to_user_ptr(request->uaddr), sets->pages,
			    sets->nr * sizeof(*sets->pages)) ? -EFAULT : 0;
}

/*
 * Returns 0; -ENODATA: none was noted; -EOPNOTSUPP: the chunk left no flags; -E2BIG: not enough
 * room, `nr` says what is needed; -ENOMEM: there was not enough for it; -EINVAL; -EFAULT.
 */
int samsara_sets_get(struct samsara_vm *vm, struct kvm_samsara_sets __user *uaddr)
{
	struct kvm_samsara_sets request;
	int r;

	if (copy_from_user(&request, uaddr, sizeof(request)))
		return -EFAULT;
	if (request.reserved)
		return -EINVAL;
	mutex_lock(&vm->sets.lock);
	r = copy_sets(&vm->sets, &request);
	mutex_unlock(&vm->sets.lock);
	if ((!r || r == -E2BIG) && copy_to_user(uaddr, &request, sizeof(request)))
		return -EFAULT;
	return r;
}
