/* SPDX-License-Identifier: GPL-2.0 */
#ifndef FUZZ_H
#define FUZZ_H

#include "smr_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t size);

#endif /* FUZZ_H */
