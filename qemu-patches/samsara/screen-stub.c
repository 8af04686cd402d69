/*
 * Record and replay of multiprocessor KVM guests: without a VGA card
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "samsara.h"
#include "samsara-int.h"

void samsara_screen_init(void)
{
}

void *samsara_screen_watch(SamsaraRegister *written, uint64_t *ram,
                           uint64_t *size)
{
    return NULL;
}

void samsara_screen_save(void)
{
}

bool samsara_screen_create(Error **errp)
{
    return true;
}

bool samsara_screen_rewind(Error **errp)
{
    return true;
}
