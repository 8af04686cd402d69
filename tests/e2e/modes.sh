# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=dash disable=SC2034
# The modes of -record: the tests' only list of them. Sourced outside by bash and
# inside the simulated host by busybox's shell.

# The default is the first.
MODES='parallel serial crew'
BASELINES=${MODES#* }
