/*
 * Record and replay of multiprocessor KVM guests: a debugger's breakpoints and
 * watchpoints
 *
 * The kernel looks for as many at a time as a processor can.  If there are
 * more, they are looked for in groups, one after the other: a replay can do the
 * same again (debug.c).  Watchpoints come first, so that they are in the group
 * that is looked for in steps.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "samsara.h"
#include "samsara-int.h"

#define MAX_POINTS  256
/* A point of a group in kvm_run->debug.arch.dr6 */
#define HIT(i)      (2U << (i))

static struct kvm_samsara_debug_point points[MAX_POINTS];
static unsigned nr_points;

static bool is_watchpoint(const struct kvm_samsara_debug_point *point)
{
    return point->type != KVM_SAMSARA_POINT_EXECUTE;
}

bool samsara_points_insert(const struct kvm_samsara_debug_point *point)
{
    unsigned at = is_watchpoint(point) ? 0 : nr_points;

    if (nr_points == MAX_POINTS) {
        return false;
    }
    memmove(&points[at + 1], &points[at], (nr_points - at) * sizeof(*point));
    points[at] = *point;
    nr_points++;
    return true;
}

void samsara_points_remove(const struct kvm_samsara_debug_point *point)
{
    unsigned i;

    for (i = 0; i < nr_points; i++) {
        if (!memcmp(&points[i], point, sizeof(*point))) {
            nr_points--;
            memmove(&points[i], &points[i + 1],
                    (nr_points - i) * sizeof(*point));
            return;
        }
    }
}

void samsara_points_remove_all(void)
{
    nr_points = 0;
}

/* At least one, which may be empty. */
unsigned samsara_points_groups(void)
{
    return MAX(1, DIV_ROUND_UP(nr_points, KVM_SAMSARA_DEBUG_POINTS));
}

/* The points of a group, for the kernel */
void samsara_points_get(unsigned group, struct kvm_samsara_debug *debug)
{
    unsigned first = group * KVM_SAMSARA_DEBUG_POINTS;

    debug->nr_points = first < nr_points
                       ? MIN(nr_points - first, KVM_SAMSARA_DEBUG_POINTS) : 0;
    memcpy(debug->point, &points[first],
           debug->nr_points * sizeof(debug->point[0]));
}

/* The last watchpoint of the group among what was met, NULL: none */
const struct kvm_samsara_debug_point *samsara_points_watched(unsigned group,
                                                             uint32_t hits)
{
    unsigned first = group * KVM_SAMSARA_DEBUG_POINTS;
    unsigned i = KVM_SAMSARA_DEBUG_POINTS;

    while (i--) {
        if ((hits & HIT(i)) && first + i < nr_points &&
            is_watchpoint(&points[first + i])) {
            return &points[first + i];
        }
    }
    return NULL;
}
