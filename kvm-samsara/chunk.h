/* SPDX-License-Identifier: GPL-2.0 */
/* The life of a recorded chunk, which all record modes share: see chunk.c. */
#ifndef __KVM_X86_SAMSARA_CHUNK_H
#define __KVM_X86_SAMSARA_CHUNK_H

#include "mode.h"

extern const struct samsara_flow samsara_record_flow;

#endif /* __KVM_X86_SAMSARA_CHUNK_H */
