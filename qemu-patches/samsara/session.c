/*
 * Record and replay of multiprocessor KVM guests: what QEMU was asked to do,
 * and whether it is doing it
 *
 * All other files may use this one; it uses none of them.
 *
 * This work is licensed under the terms of the GNU GPL, version 2 or later.
 * See the COPYING file in the top-level directory.
 */

#include "qemu/osdep.h"
#include "samsara.h"
#include "samsara-int.h"

SamsaraOpts samsara_opts;

bool samsara_recordable;
bool samsara_recording;
bool samsara_running;
bool samsara_frozen;
bool samsara_device_used;

bool (*samsara_write)(void *host, const void *buf, size_t len);
void (*samsara_after_reset)(void);
void (*samsara_before_stop)(void);
SamsaraRegister *samsara_register_written;
void (*samsara_packet_starts)(SamsaraPacketStart *start);
void (*samsara_packet_delivered)(const SamsaraPacketStart *start,
                                 NetClientState *from, NetClientState *to,
                                 const struct iovec *iov, int iovcnt,
                                 bool has_header);
void (*samsara_text_written)(void *port, const void *text, size_t len);

void samsara_device_set(void *host, int c, size_t len)
{
    g_autofree void *bytes = NULL;

    if (likely(!samsara_recordable)) {
        memset(host, c, len);
        return;
    }
    bytes = g_malloc(len);
    memset(bytes, c, len);
    samsara_device_write(host, bytes, len);
}

uint32_t samsara_record_mode(void)
{
    const char *mode = samsara_opts.mode ?: "parallel";

    if (!strcmp(mode, "parallel")) {
        return KVM_SAMSARA_MODE_RECORD;
    }
    if (!strcmp(mode, "serial")) {
        return KVM_SAMSARA_MODE_RECORD_SERIAL;
    }
    return strcmp(mode, "crew") ? 0 : KVM_SAMSARA_MODE_RECORD_CREW;
}

uint32_t samsara_replay_mode(void)
{
    const char *mode = samsara_opts.replay_mode ?: "parallel";

    return strcmp(mode, "serial") ? KVM_SAMSARA_MODE_REPLAY_PARALLEL
                                  : KVM_SAMSARA_MODE_REPLAY;
}

bool samsara_stop_on_error(void)
{
    return samsara_opts.on_error && !strcmp(samsara_opts.on_error, "stop");
}
