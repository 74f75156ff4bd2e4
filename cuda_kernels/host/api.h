// Marks the functions of the C interface; everything else in the library is hidden.
#pragma once

#if defined(_WIN32)
#define BWL_API extern "C" __declspec(dllexport)
#else
#define BWL_API extern "C" __attribute__((visibility("default")))
#endif
