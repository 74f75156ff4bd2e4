// The structures that Python fills for one batch of signal on haplotypes are those of
// realign_batch.cuh; samples of the tracks are looked at here.
#pragma once
#include "../realign_batch.cuh"
