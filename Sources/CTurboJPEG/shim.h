#ifndef APUS_CTURBOJPEG_SHIM_H
#define APUS_CTURBOJPEG_SHIM_H

#include <turbojpeg.h>

#endif
