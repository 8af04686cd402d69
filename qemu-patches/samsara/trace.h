#include "trace/trace-accel_kvm_samsara.h"
